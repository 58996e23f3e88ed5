import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
import { Usage } from '../../../src/services/billing/usage.js';
import { bearer } from '../../support/app/error-outcomes.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';

const RANGE = { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z' };
const OPERATION = {
  query: `{ usage(from: "${RANGE.from}", to: "${RANGE.to}", groupBy: DAY) { nodes { groupKey } } }`,
};

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterEach(() => {
  jest.restoreAllMocks();
});
afterAll(() => app.stop());

/** Sends a request and returns a function that disconnects. */
function send(path: string, body?: object): () => void {
  const leaving = new AbortController();
  const json = { 'content-type': 'application/json', ...bearer(app.apiKey) };
  const init = body ? { method: 'POST', body: JSON.stringify(body) } : {};
  void fetch(app.url + path, { ...init, headers: json, signal: leaving.signal }).catch(() => undefined);
  return () => leaving.abort();
}

function subscribe(leave: (client: ReturnType<TestApp['createWebSocketClient']>, end: () => void) => void) {
  const client = app.createWebSocketClient(app.apiKey);
  const ignore = () => undefined;
  const end = client.subscribe(OPERATION, { next: ignore, error: ignore, complete: ignore });
  return () => leave(client, end);
}

const WAYS: [string, () => () => void][] = [
  ['of a CSV file', () => send(`/usage.csv?${new URLSearchParams({ ...RANGE, groupBy: 'DAY' }).toString()}`)],
  ['of /graphql', () => send('/graphql', OPERATION)],
  ['of /graphql/stream', () => send('/graphql/stream', OPERATION)],
  ['of a WebSocket that closes', () => subscribe((client) => client.terminate())],
  ['of a WebSocket that ends its operation', () => subscribe((_, end) => end())],
];
test.each(WAYS)('a usage report learns that the client %s has left', async (_, start) => {
  const signals: (AbortSignal | undefined)[] = [];
  const waitForever = (signal?: AbortSignal) => {
    signals.push(signal);
    return new Promise<never>((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(new Error('The client has left.')));
    });
  };
  jest
    .spyOn(Usage.prototype, 'page')
    .mockImplementation((_caller, _query, { clientLeft }) => waitForever(clientLeft));
  jest.spyOn(Usage.prototype, 'listAll').mockImplementation((_caller, _query, left) => waitForever(left));
  const leave = start();
  await waitFor('the report', () => signals.length === 1);
  expect(signals[0]?.aborted).toBe(false);
  leave();
  await waitFor('its signal', () => signals[0]?.aborted);
});
