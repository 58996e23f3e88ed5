import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { pause, type Request, type Result, resuming, type SubscribingClient } from '../../clients/resume.js';
import { EventPageDocument } from '../../clients/operations.js';
import { TestApp } from '../support/app/test-app.js';
import { TcpProxy } from '../support/net/tcp-proxy.js';
import { waitFor } from '../support/wait-for.js';

const SOURCE = 'clients/resume.ts';
const EVENTS = 'subscription ($after: String) { taskEvents(after: $after) { type cursor } }';
/** As soon as the other side is there again. */
const RETRY_AFTER_MS = 20;
const RETRY = { retryAttempts: Infinity, shouldRetry: () => true };

interface Client extends SubscribingClient {
  iterate(request: Request): AsyncIterableIterator<Result>;
}

let app: TestApp;
let proxy: TcpProxy;
let url: string;
const disposals: (() => unknown)[] = [];
beforeAll(async () => {
  app = await TestApp.start();
  const network = await TcpProxy.before(app.url);
  proxy = network.proxy;
  url = new URL(network.url).origin;
});
afterEach(async () => {
  await Promise.all(disposals.splice(0).map((dispose) => dispose()));
});
afterAll(async () => {
  await proxy.cut();
  await app.stop();
});

test('It is a small file that imports nothing', async () => {
  const source = await readFile(SOURCE, 'utf8');
  expect(source.split('\n').length).toBeLessThan(80);
  expect(source).not.toMatch(/^import\b|\b(import|require)\(/m);
});

describe.each<[string, () => Client]>([
  ['graphql-ws', connectWs],
  ['graphql-sse', connectSse],
])('With the client of %s', (_name, connect) => {
  test('every event is delivered once and in order, however often the connection is lost', async () => {
    const { cursor } = await app.generate({ prompt: 'the first', count: 4 });
    const variables = { after: cursor };
    const { seen, sink } = watcher();
    const leave = resuming(connect()).subscribe({ query: EVENTS, variables }, sink);
    for (const round of [1, 2, 3, 4, 5]) {
      const before = seen.length;
      await app.generate({ prompt: `seen in round ${round}`, count: 4 });
      await waitFor('an event', () => seen.length > before);
      await proxy.cut();
      await settle(`missed in round ${round}`);
      await proxy.restore();
      await waitFor('what was missed', () => seen.length > before + 4);
    }
    await settle('the last');
    const written = await cursorsAfter(cursor);
    await waitFor('the last event', () => seen.includes(String(written.at(-1))));
    expect(seen).toEqual(written);
    expect(variables).toEqual({ after: cursor });
    leave();
  });

  test('what waits to be taken does not come again after a drop', async () => {
    const { cursor } = await app.generate({ prompt: 'taken slowly', count: 4 });
    const client = resuming(connect());
    const request = { query: EVENTS, variables: { after: cursor } };
    const events = client.iterate(request);
    const { seen, sink } = watcher();
    const take = async () => sink.next((await events.next()).value as Result);
    await take();
    // Tells what has arrived, also at the one that is not taken from.
    const beside = watcher();
    const leave = client.subscribe(request, beside.sink);
    await waitFor('all events to arrive', () => beside.seen.length === 7);
    await proxy.cut();
    await settle('missed');
    await proxy.restore();
    await waitFor('what was missed', () => beside.seen.length === 11);
    leave();
    const written = await cursorsAfter(cursor);
    while (seen.length < written.length) await take();
    await settle('after the drop');
    await take();
    expect(seen).toEqual((await cursorsAfter(cursor)).slice(0, seen.length));
    await events.return?.();
  });

  test('who stops iterating while nothing comes is let go at once', async () => {
    const events = resuming(connect()).iterate({ query: EVENTS, variables: {} });
    const next = events.next();
    await expect(events.return?.()).resolves.toEqual({ done: true, value: undefined });
    await expect(next).resolves.toEqual({ done: true, value: undefined });
  });

  test('a subscription that could not resume ends with an error', async () => {
    for (const query of ['subscription { taskEvents { cursor } }', EVENTS.replace(' cursor', '')]) {
      await expect(resuming(connect()).iterate({ query }).next()).rejects.toThrow('$after');
    }
  });

  test('a refusal and the end are passed on, and so is a query', async () => {
    const client = resuming(connect());
    const refused = client.iterate({ query: EVENTS, variables: { after: 'not a cursor' } });
    await expect(refused.next()).resolves.toMatchObject({ value: { errors: [expect.anything()] } });
    await expect(refused.next()).resolves.toEqual({ done: true, value: undefined });
    const asked = client.iterate({ query: '{ viewer { keyName } }' });
    await expect(asked.next()).resolves.toMatchObject({
      value: { data: { viewer: { keyName: 'first key' } } },
    });
    await expect(asked.next()).resolves.toEqual({ done: true, value: undefined });
  });
});

test('pause waits longer after each attempt, but not without bound', () => {
  const setTimeout = jest.spyOn(globalThis, 'setTimeout').mockReturnThis();
  for (const retries of [0, 1, 4, 5, 2_000]) void pause(retries);
  const waits = setTimeout.mock.calls.map(([, ms]) => ms);
  setTimeout.mockRestore();
  for (const [index, least] of [500, 1_000, 8_000, 10_000, 10_000].entries()) {
    expect(waits[index]).toBeGreaterThanOrEqual(least);
    expect(waits[index]).toBeLessThan(2 * least);
  }
});

function connectWs(): Client {
  const client = createWsClient({
    url: `${url.replace(/^http/, 'ws')}/graphql`,
    connectionParams: { authorization: `Bearer ${app.key}` },
    webSocketImpl: WebSocket,
    retryWait: () => wait(RETRY_AFTER_MS),
    ...RETRY,
  });
  disposals.push(() => client.dispose());
  return client;
}

function connectSse(): Client {
  const headers = { authorization: `Bearer ${app.key}` };
  const client = createSseClient({
    url: `${url}/graphql/stream`,
    headers,
    retry: () => wait(RETRY_AFTER_MS),
    ...RETRY,
  });
  disposals.push(() => client.dispose());
  return client;
}

/** A sink, and the cursors that it was given. */
function watcher() {
  const seen: string[] = [];
  const next = ({ data }: Result) => void seen.push(String(data?.taskEvents?.cursor));
  return { seen, sink: { next, error: () => undefined, complete: () => undefined } };
}

async function settle(prompt: string): Promise<void> {
  await app.settled((await app.generate({ prompt })).id);
}

async function cursorsAfter(after: string): Promise<string[]> {
  const { taskEvents } = await app.query(EventPageDocument, { first: 100, after });
  expect(taskEvents.pageInfo.hasNextPage).toBe(false);
  return taskEvents.nodes.map(({ cursor }) => cursor);
}
