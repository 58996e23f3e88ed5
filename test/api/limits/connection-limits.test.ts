import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { ViewerDocument } from '../../../clients/operations.js';
import { SCOPES } from '../../../src/core/access/caller.js';
import { createClientToken, SECRET_KEY } from '../../support/access/client-tokens.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey, addWorkspaceWithKey } from '../../support/access/workspaces.js';
import { ChildProgram } from '../../support/app/child-program.js';
import { RawWebSocket } from '../../support/events/raw-websocket.js';
import { openSubscriptionStream } from '../../support/events/streams.js';

const environment = {
  SECRET_KEY,
  ROLES: 'api',
  LIMITS_PER_END_USER: 'connections=2',
  LIMITS_PER_WORKSPACE: 'connections=100',
};
const connectionLeaseMs = 3_000;
/** Generous: the child service is compiled as it starts. */
const START_TIMEOUT_MS = 60_000;

let one: TestApp;
let other: TestApp;
beforeAll(async () => {
  one = await TestApp.start({ environment, tuning: { connectionLeaseMs } });
  const { databaseUrl, apiKey: key } = one;
  other = await TestApp.start({ databaseUrl, apiKey: key, environment, tuning: { connectionLeaseMs } });
});
const open: RawWebSocket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.cut();
});
afterAll(async () => {
  await other.stop();
  await one.stop();
});

/** Returns null if the service accepts the connection, and otherwise how it was closed. */
async function connect(url: string, key: string): Promise<{ code: number; reason: string } | null> {
  const socket = await RawWebSocket.open(url);
  open.push(socket);
  socket.sendConnectionInit(key);
  let close: Awaited<RawWebSocket['closed']> | null = null;
  void socket.closed.then((reason) => (close = reason));
  await waitFor('the connection to be accepted or closed', () => close ?? socket.messages.length > 0);
  return close;
}
async function countAccepted(key: string, urls: readonly string[]): Promise<number> {
  const outcomes = await Promise.all(urls.map((url) => connect(url, key)));
  const refused = outcomes.filter((outcome) => outcome !== null);
  for (const outcome of refused) expect(outcome).toEqual({ code: 1013, reason: 'Too many connections' });
  return urls.length - refused.length;
}
/** URLs of `count` connections, spread over both instances. */
const onBothInstances = (count: number) =>
  Array.from({ length: count }, (_, index) => (index % 2 ? one : other).url);
/** Creates a workspace and returns its ID and an API key. */
async function createWorkspace() {
  const key = await addWorkspaceWithKey(one);
  return { key, id: (await one.query(ViewerDocument, {}, key)).viewer.workspaceId };
}

test('the limit of a workspace covers all of its keys and both instances', async () => {
  const { key, id } = await createWorkspace();
  const second = await addKey(one, id, SCOPES);
  const accepted = await Promise.all([
    countAccepted(key, onBothInstances(80)),
    countAccepted(second, onBothInstances(80)),
  ]);
  const sum = accepted[0] + accepted[1];
  expect(sum).toBeGreaterThanOrEqual(95);
  expect(sum).toBeLessThanOrEqual(100);
});

test('the limit of a key covers both instances, and closing a connection on one frees a slot on the other', async () => {
  const { id } = await createWorkspace();
  const key = await addKey(one, id, SCOPES, { connections: 3 });
  expect(await countAccepted(key, onBothInstances(10))).toBe(3);
  const stream = openSubscriptionStream({ url: one.url, key, transport: 'plain', target: {} });
  const refusal = { status: 429, body: { error: { code: 'TOO_MANY_CONNECTIONS' } } };
  await expect(stream.ended).resolves.toMatchObject(refusal);
  for (const socket of open.splice(0)) socket.cut();
  await waitFor('a free slot', async () => (await connect(other.url, key)) === null);
});

test('the limit of an end user covers tokens of different keys and is separate from that of other end users', async () => {
  const { id } = await createWorkspace();
  const keys = [await addKey(one, id, SCOPES), await addKey(one, id, SCOPES)];
  const tokenOf = async (key: string | undefined, endUserId: string) =>
    (await createClientToken(one, { endUserId }, key)).token;
  const [first, second] = [await tokenOf(keys[0], 'ann'), await tokenOf(keys[1], 'ann')];
  const accepted = await Promise.all([
    countAccepted(first, onBothInstances(5)),
    countAccepted(second, onBothInstances(5)),
  ]);
  expect(accepted[0] + accepted[1]).toBe(2);
  expect(await countAccepted(await tokenOf(keys[0], 'bob'), onBothInstances(5))).toBe(2);
});

test(
  'the connection slots of a killed instance are freed when its lease expires',
  async () => {
    const { id } = await createWorkspace();
    const key = await addKey(one, id, SCOPES, { connections: 3 });
    const { databaseUrl: DATABASE_URL, dataDir: DATA_DIR } = one;
    const TUNING = JSON.stringify({ connectionLeaseMs });
    const service = await ChildProgram.start<{ url: string }>('test/support/app/service-main.ts', {
      ...{ ...environment, DATABASE_URL, DATA_DIR, PORT: '0', LOG_LEVEL: 'error', TUNING },
    });
    try {
      expect(
        await countAccepted(
          key,
          Array.from({ length: 5 }, () => service.ready.url),
        ),
      ).toBe(3);
      expect(await countAccepted(key, onBothInstances(2))).toBe(0);
    } finally {
      await service.terminate('SIGKILL');
    }
    expect(await countAccepted(key, onBothInstances(2))).toBe(0);
    await waitFor('a free slot', async () => (await connect(one.url, key)) === null);
    expect(await countAccepted(key, onBothInstances(6))).toBe(2);
  },
  START_TIMEOUT_MS,
);
