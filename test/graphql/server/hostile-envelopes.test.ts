import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import { type Envelope, hostileEnvelopes, sha256Of } from '../../support/app/hostile-envelopes.js';
import { TestApp } from '../../support/app/test-app.js';
import { addFinishedTasks, firstWorkspaceId } from '../../support/events/event-rows.js';

const SEED = Number(process.env['ENVELOPE_SEED'] ?? Date.now() % 1_000_000);
const RUNS = 500;
const TASKS = 40;
/** A page of n tasks costs 1 + 2 n. */
const MAX_COST = 41;
const MAX_TASKS_PER_REQUEST = 20;
const PAGE = 'query Page($n: Int) { tasks(first: $n) { nodes { id } } }';
const LARGE_PAGE = 'query Large($n: Int = 40) { tasks(first: $n) { nodes { id } } }';
const SMALL_PAGE = 'query Small { tasks(first: 2) { nodes { id } } }';
const MANY = { n: TASKS };
const FEW = { n: 2 };

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({
    environment: { ROLES: 'api', QUERY_MAX_COST: String(MAX_COST), OPERATIONS_PER_REQUEST: '3' },
  });
  const sql = new pg.Pool({ connectionString: app.databaseUrl, max: 1 });
  await addFinishedTasks(sql, await firstWorkspaceId(sql), TASKS);
  await sql.end();
  for (const query of [PAGE, LARGE_PAGE, SMALL_PAGE])
    await send({ query, variables: FEW, extensions: persisted(sha256Of(query)) });
});
afterAll(() => app.stop());

const persisted = (sha256Hash: unknown) => ({ persistedQuery: { version: 1, sha256Hash } });

async function sendEnvelope({ method, search, body }: Envelope): Promise<string> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${app.apiKey}` };
  const response = await fetch(`${app.url}/graphql${search}`, {
    method,
    headers,
    ...(method === 'POST' && { body }),
  });
  expect(response.status).toBeLessThan(500);
  return response.text();
}

const send = (body: object) => sendEnvelope({ method: 'POST', search: '', body: JSON.stringify(body) });
const tasksIn = (response: string) => response.split('"id":').length - 1;

describe('the cost limit', () => {
  test('lets a persisted query run whose cost is within it', async () => {
    expect(tasksIn(await send({ variables: FEW, extensions: persisted(sha256Of(PAGE)) }))).toBe(2);
  });

  test.each([
    ['query is false', { query: false, extensions: persisted(sha256Of(PAGE)) }],
    ['query is 0', { query: 0, extensions: persisted(sha256Of(PAGE)) }],
    ['query is null', { query: null, extensions: persisted(sha256Of(PAGE)) }],
    ['query is absent', { extensions: persisted(sha256Of(PAGE)) }],
    ['the hash is a list', { extensions: persisted([sha256Of(PAGE)]) }],
    ['the hash is a list in a list', { extensions: persisted([[sha256Of(PAGE)]]) }],
  ])('holds for a persisted query if %s', async (_what, envelope) => {
    expect(tasksIn(await send({ ...envelope, variables: MANY }))).toBe(0);
    expect(tasksIn(await send([{ ...envelope, variables: MANY }]))).toBe(0);
  });

  test('holds for a document that another request stores while this one waits', async () => {
    const query = `${PAGE} # stored meanwhile`;
    const extensions = persisted(sha256Of(query));
    const all = Array.from({ length: 20 }, (_, n) =>
      n === 3 ? send({ query, variables: FEW, extensions }) : send({ variables: MANY, extensions }),
    );
    for (const response of await Promise.all(all)) expect(tasksIn(response)).toBeLessThanOrEqual(2);
  });

  test(`holds for any request (ENVELOPE_SEED=${SEED})`, async () => {
    let served = 0;
    await fc.assert(
      fc.asyncProperty(hostileEnvelopes([PAGE, LARGE_PAGE, SMALL_PAGE], [MANY, FEW]), async (envelope) => {
        const count = tasksIn(await sendEnvelope(envelope));
        if (count > 0) served += 1;
        expect(count).toBeLessThanOrEqual(MAX_TASKS_PER_REQUEST);
      }),
      { seed: SEED, numRuns: RUNS },
    );
    // Otherwise the property would hold for requests that are all refused.
    expect(served).toBeGreaterThan(0);
  });
});
