import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import {
  retryDelay,
  type Request,
  type Result,
  withResume,
  type SubscriptionClient,
} from '../../clients/resume.js';
import { TaskEventPageDocument } from '../../clients/operations.js';
import { TestApp } from '../support/app/test-app.js';
import { TcpProxy } from '../support/net/tcp-proxy.js';
import { waitFor } from '../support/wait-for.js';

const SOURCE = 'clients/resume.ts';
const EVENTS = 'subscription ($after: String) { taskEvents(after: $after) { type cursor } }';
/** Short, so that clients reconnect as soon as the proxy is restored. */
const RETRY_AFTER_MS = 20;
const RETRY = { retryAttempts: Infinity, shouldRetry: () => true };

interface Client extends SubscriptionClient {
  iterate(request: Request): AsyncIterableIterator<Result>;
}

let app: TestApp;
let proxy: TcpProxy;
let url: string;
const disposals: (() => unknown)[] = [];
beforeAll(async () => {
  app = await TestApp.start();
  const network = await TcpProxy.inFrontOf(app.url);
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

test('resume.ts is a small file without imports', async () => {
  const source = await readFile(SOURCE, 'utf8');
  expect(source.split('\n').length).toBeLessThan(80);
  expect(source).not.toMatch(/^import\b|\b(import|require)\(/m);
});

describe.each<[string, () => Client]>([
  ['graphql-ws', connectWs],
  ['graphql-sse', connectSse],
])('withResume with the client of %s', (_name, connect) => {
  test('every event is delivered once and in order across lost connections', async () => {
    const { eventCursor } = await app.generate({ prompt: 'the first', count: 4 });
    const variables = { after: eventCursor };
    const { seen, sink } = recordingSink();
    const unsubscribe = withResume(connect()).subscribe({ query: EVENTS, variables }, sink);
    for (const round of [1, 2, 3, 4, 5]) {
      const before = seen.length;
      await app.generate({ prompt: `seen in round ${round}`, count: 4 });
      await waitFor('an event', () => seen.length > before);
      await proxy.cut();
      await generateAndSettle(`missed in round ${round}`);
      await proxy.restore();
      await waitFor('the missed events', () => seen.length > before + 4);
    }
    await generateAndSettle('the last');
    const written = await cursorsAfter(eventCursor);
    await waitFor('the last event', () => seen.includes(String(written.at(-1))));
    expect(seen).toEqual(written);
    expect(variables).toEqual({ after: eventCursor });
    unsubscribe();
  });

  test('events that wait in an iterator are not delivered again after a lost connection', async () => {
    const { eventCursor } = await app.generate({ prompt: 'read slowly', count: 4 });
    const client = withResume(connect());
    const request = { query: EVENTS, variables: { after: eventCursor } };
    const events = client.iterate(request);
    const { seen, sink } = recordingSink();
    const readNext = async () => sink.next((await events.next()).value as Result);
    await readNext();
    // A second subscription on the same connection shows which events have arrived.
    const arrivals = recordingSink();
    const unsubscribe = client.subscribe(request, arrivals.sink);
    await waitFor('all events to arrive', () => arrivals.seen.length === 7);
    await proxy.cut();
    await generateAndSettle('missed');
    await proxy.restore();
    await waitFor('the missed events', () => arrivals.seen.length === 11);
    unsubscribe();
    const written = await cursorsAfter(eventCursor);
    while (seen.length < written.length) await readNext();
    await generateAndSettle('after the drop');
    await readNext();
    expect(seen).toEqual((await cursorsAfter(eventCursor)).slice(0, seen.length));
    await events.return?.();
  });

  test('return() ends an iterator at once while it waits for an event', async () => {
    const events = withResume(connect()).iterate({ query: EVENTS, variables: {} });
    const next = events.next();
    await expect(events.return?.()).resolves.toEqual({ done: true, value: undefined });
    await expect(next).resolves.toEqual({ done: true, value: undefined });
  });

  test('a subscription without $after or without the field cursor is refused with an error', async () => {
    for (const query of ['subscription { taskEvents { cursor } }', EVENTS.replace(' cursor', '')]) {
      await expect(withResume(connect()).iterate({ query }).next()).rejects.toThrow('$after');
    }
  });

  test('refusals, completions and queries are passed through', async () => {
    const client = withResume(connect());
    const refused = client.iterate({ query: EVENTS, variables: { after: 'not a cursor' } });
    await expect(refused.next()).resolves.toMatchObject({ value: { errors: [expect.anything()] } });
    await expect(refused.next()).resolves.toEqual({ done: true, value: undefined });
    const query = client.iterate({ query: '{ viewer { keyName } }' });
    await expect(query.next()).resolves.toMatchObject({
      value: { data: { viewer: { keyName: 'first key' } } },
    });
    await expect(query.next()).resolves.toEqual({ done: true, value: undefined });
  });
});

test('retryDelay grows with each attempt up to a maximum', () => {
  const setTimeout = jest.spyOn(globalThis, 'setTimeout').mockReturnThis();
  for (const retries of [0, 1, 4, 5, 2_000]) void retryDelay(retries);
  const waits = setTimeout.mock.calls.map(([, ms]) => ms);
  setTimeout.mockRestore();
  for (const [index, minimumMs] of [500, 1_000, 8_000, 10_000, 10_000].entries()) {
    expect(waits[index]).toBeGreaterThanOrEqual(minimumMs);
    expect(waits[index]).toBeLessThan(2 * minimumMs);
  }
});

function connectWs(): Client {
  const client = createWsClient({
    url: `${url.replace(/^http/, 'ws')}/graphql`,
    connectionParams: { authorization: `Bearer ${app.apiKey}` },
    webSocketImpl: WebSocket,
    retryWait: () => wait(RETRY_AFTER_MS),
    ...RETRY,
  });
  disposals.push(() => client.dispose());
  return client;
}

function connectSse(): Client {
  const headers = { authorization: `Bearer ${app.apiKey}` };
  const client = createSseClient({
    url: `${url}/graphql/stream`,
    headers,
    retry: () => wait(RETRY_AFTER_MS),
    ...RETRY,
  });
  disposals.push(() => client.dispose());
  return client;
}

/** A sink that records the cursors of its events. */
function recordingSink() {
  const seen: string[] = [];
  const next = ({ data }: Result) => void seen.push(String(data?.taskEvents?.cursor));
  return { seen, sink: { next, error: () => undefined, complete: () => undefined } };
}

async function generateAndSettle(prompt: string): Promise<void> {
  await app.waitUntilSettled((await app.generate({ prompt })).id);
}

async function cursorsAfter(after: string): Promise<string[]> {
  const { taskEvents } = await app.query(TaskEventPageDocument, { first: 100, after });
  expect(taskEvents.pageInfo.hasNextPage).toBe(false);
  return taskEvents.nodes.map(({ cursor }) => cursor);
}
