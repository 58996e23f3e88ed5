import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { hashApiKey } from '../../../src/core/access/api-key.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey } from '../../support/access/workspaces.js';
import { type Ending, openStream, TRANSPORTS } from '../../support/events/streams.js';
import { addTasks, firstWorkspace, writeEvent } from '../../support/events/event-rows.js';

/** What is promised. */
const WITHIN_MS = 5_000;

let one: TestApp;
let other: TestApp;
let sql: pg.Pool;
beforeAll(async () => {
  one = await TestApp.start();
  other = await TestApp.start({ databaseUrl: one.databaseUrl, key: one.key });
  sql = new pg.Pool({ connectionString: one.databaseUrl, max: 4 });
});
afterAll(async () => {
  await sql.end();
  await other.stop();
  await one.stop();
});

test.each([
  ['revoked', 'UPDATE api_keys SET revoked_at = now()'],
  ['expired', 'UPDATE api_keys SET expires_at = now()'],
])(
  "a key's streams end within 5 s of being %s, on every instance, and it opens no others",
  async (_what, statement) => {
    const workspaceId = await firstWorkspace(sql);
    const [taskId = ''] = await addTasks(sql, workspaceId, 1);
    const key = await addKey(one, workspaceId, ['tasks:read']);
    const connect = ({ url }: TestApp, ofKey = key) =>
      TRANSPORTS.map((transport) => openStream({ url, key: ofKey, transport, target: {} }));
    const streams = [...connect(one), ...connect(other)];
    const spared = connect(one, one.key);
    const everyone = [...streams, ...spared];
    await waitFor('all to be open', async () => {
      await writeEvent(sql, taskId, 'TASK_SUBMITTED');
      return everyone.every(({ received }) => received.length > 0);
    });

    const since = Date.now();
    await sql.query(`${statement} WHERE hash = $1`, [hashApiKey(key)]);
    const endings = await Promise.all(streams.map(({ ended }) => ended));
    expect(Date.now() - since).toBeLessThan(WITHIN_MS);
    const expected: Ending[] = [
      { code: 4403, reason: 'Forbidden' },
      { status: 200 },
      { status: 200, closing: { code: 'KEY_REVOKED', cursor: null } },
    ];
    expect(endings).toEqual([...expected, ...expected]);

    for (const app of [one, other]) {
      const [socket, ...http] = await Promise.all(connect(app).map(({ ended }) => ended));
      expect(socket).toEqual({ code: 4403, reason: 'Forbidden' });
      expect(http).toMatchObject([{ status: 401 }, { status: 401 }]);
    }
    await writeEvent(sql, taskId, 'TASK_SUCCEEDED');
    for (const { received } of spared)
      await waitFor('an event for the others', () => received.at(-1)?.type === 'TASK_SUCCEEDED');
    for (const stream of spared) stream.cut();
    expect(streams.flatMap(({ received }) => received).map(({ type }) => type)).not.toContain(
      'TASK_SUCCEEDED',
    );
  },
);

test('a key that is remembered, but has nothing open, is refused within 5 s of being revoked', async () => {
  const key = await addKey(one, await firstWorkspace(sql), ['tasks:read']);
  const ask = async () =>
    (await other.get('/events?taskIds=x&types=none', { authorization: `Bearer ${key}` })).status;
  expect(await ask()).toBe(400);
  const since = Date.now();
  await sql.query('UPDATE api_keys SET revoked_at = now() WHERE hash = $1', [hashApiKey(key)]);
  await waitFor('the refusal', async () => (await ask()) === 401);
  expect(Date.now() - since).toBeLessThan(WITHIN_MS);
});
