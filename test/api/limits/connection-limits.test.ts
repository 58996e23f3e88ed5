import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { ViewerDocument } from '../../../clients/operations.js';
import { SCOPES } from '../../../src/core/access/caller.js';
import { createToken, SECRET_KEY } from '../../support/access/client-tokens.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey, addWorkspace } from '../../support/access/workspaces.js';
import { Instance } from '../../support/app/child-program.js';
import { RawSocket } from '../../support/events/raw-websocket.js';
import { openStream } from '../../support/events/streams.js';

const environment = {
  SECRET_KEY,
  ROLES: 'api',
  LIMITS_PER_END_USER: 'connections=2',
  LIMITS_PER_WORKSPACE: 'connections=100',
};
const connectionLeaseMs = 3_000;
/** A service that is compiled as it starts. */
const START_TIMEOUT_MS = 60_000;

let one: TestApp;
let other: TestApp;
beforeAll(async () => {
  one = await TestApp.start({ environment, tuning: { connectionLeaseMs } });
  const { databaseUrl, key } = one;
  other = await TestApp.start({ databaseUrl, key, environment, tuning: { connectionLeaseMs } });
});
const open: RawSocket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.cut();
});
afterAll(async () => {
  await other.stop();
  await one.stop();
});

/** Null when it was accepted, and otherwise how it was closed. */
async function connect(url: string, key: string): Promise<{ code: number; reason: string } | null> {
  const socket = await RawSocket.open(url);
  open.push(socket);
  socket.initialise(key);
  let close: Awaited<RawSocket['closed']> | null = null;
  void socket.closed.then((how) => (close = how));
  await waitFor('an answer', () => close ?? socket.messages.length > 0);
  return close;
}
async function countAccepted(key: string, urls: readonly string[]): Promise<number> {
  const outcomes = await Promise.all(urls.map((url) => connect(url, key)));
  const refused = outcomes.filter((outcome) => outcome !== null);
  for (const outcome of refused) expect(outcome).toEqual({ code: 1013, reason: 'Too many connections' });
  return urls.length - refused.length;
}
const both = (count: number) => Array.from({ length: count }, (_, index) => (index % 2 ? one : other).url);
/** A key of a workspace of its own, and that workspace. */
async function newWorkspace() {
  const key = await addWorkspace(one);
  return { key, id: (await one.query(ViewerDocument, {}, key)).viewer.workspaceId };
}

test('a workspace has so many connections on two instances together, with whatever keys', async () => {
  const { key, id } = await newWorkspace();
  const second = await addKey(one, id, SCOPES);
  const accepted = await Promise.all([countAccepted(key, both(80)), countAccepted(second, both(80))]);
  const sum = accepted[0] + accepted[1];
  expect(sum).toBeGreaterThanOrEqual(95);
  expect(sum).toBeLessThanOrEqual(100);
});

test("a key has its own limit's connections on two instances together, and one that closes makes room on the other", async () => {
  const { id } = await newWorkspace();
  const key = await addKey(one, id, SCOPES, { connections: 3 });
  expect(await countAccepted(key, both(10))).toBe(3);
  const stream = openStream({ url: one.url, key, transport: 'plain', target: {} });
  const refusal = { status: 429, body: { error: { code: 'TOO_MANY_WATCHERS' } } };
  await expect(stream.ended).resolves.toMatchObject(refusal);
  for (const socket of open.splice(0)) socket.cut();
  await waitFor('a place', async () => (await connect(other.url, key)) === null);
});

test('an end user has theirs with tokens of different keys, and leaves another their own', async () => {
  const { id } = await newWorkspace();
  const keys = [await addKey(one, id, SCOPES), await addKey(one, id, SCOPES)];
  const tokenOf = async (key: string | undefined, endUserId: string) =>
    (await createToken(one, { endUserId }, key)).token;
  const [first, second] = [await tokenOf(keys[0], 'ann'), await tokenOf(keys[1], 'ann')];
  const accepted = await Promise.all([countAccepted(first, both(5)), countAccepted(second, both(5))]);
  expect(accepted[0] + accepted[1]).toBe(2);
  expect(await countAccepted(await tokenOf(keys[0], 'bob'), both(5))).toBe(2);
});

test(
  'the places of an instance that was killed are free when its lease has ended',
  async () => {
    const { id } = await newWorkspace();
    const key = await addKey(one, id, SCOPES, { connections: 3 });
    const { databaseUrl: DATABASE_URL, dataDir: DATA_DIR } = one;
    const TUNING = JSON.stringify({ connectionLeaseMs });
    const service = await Instance.start<{ url: string }>('test/support/app/service-main.ts', {
      ...{ ...environment, DATABASE_URL, DATA_DIR, PORT: '0', LOG_LEVEL: 'error', TUNING },
    });
    try {
      expect(
        await countAccepted(
          key,
          Array.from({ length: 5 }, () => service.ready.url),
        ),
      ).toBe(3);
      expect(await countAccepted(key, both(2))).toBe(0);
    } finally {
      await service.end('SIGKILL');
    }
    expect(await countAccepted(key, both(2))).toBe(0);
    await waitFor('a place', async () => (await connect(one.url, key)) === null);
    expect(await countAccepted(key, both(6))).toBe(2);
  },
  START_TIMEOUT_MS,
);
