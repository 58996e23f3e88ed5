import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { bearer, errorOf, errorOfPost, errorOverWebSocket } from '../../support/app/error-outcomes.js';
import { TestApp } from '../../support/app/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const RANGE = { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z' };
const OPERATION = {
  query: `{ usage(from: "${RANGE.from}", to: "${RANGE.to}", groupBy: DAY) { nodes { groupKey } } }`,
};
const CSV = `/usage.csv?${new URLSearchParams({ ...RANGE, groupBy: 'DAY' }).toString()}`;

let database: TestDatabase;
let locker: pg.Client;
let app: TestApp;
beforeAll(async () => {
  database = await createTestDatabase();
  app = await TestApp.start({ databaseUrl: database.url, tuning: { usageTimeoutMs: 500 } });
  locker = new pg.Client({ connectionString: database.url });
  await locker.connect();
});
afterAll(async () => {
  await locker.end();
  await app.stop();
  await database.drop();
});

test('a usage report that takes too long has an error of its own on every transport, and no CSV', async () => {
  const headers = bearer(app.apiKey);
  await expect(fetch(app.url + CSV, { headers })).resolves.toMatchObject({ status: 200 });
  await locker.query('BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE');
  const [csv, ...outcomes] = await Promise.all([
    fetch(app.url + CSV, { headers }),
    errorOf(app, CSV, { headers }),
    errorOfPost(app, '/graphql', { body: OPERATION, headers }),
    errorOverWebSocket(app, app.apiKey, OPERATION),
  ]);
  await locker.query('ROLLBACK');
  expect(csv.status).toBe(504);
  expect(csv.headers.get('content-type')).toMatch('application/json');
  expect(csv.headers.get('content-disposition')).toBeNull();
  for (const { code, message } of outcomes) {
    expect(code).toBe('REPORT_TIMED_OUT');
    expect(message).toContain('Request a shorter period');
  }
  expect(outcomes.map(({ status }) => status)).toEqual([504, 200, null]);
  await expect(fetch(app.url + CSV, { headers })).resolves.toMatchObject({ status: 200 });
});
