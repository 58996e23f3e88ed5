import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { RawWebSocket } from '../../support/events/raw-websocket.js';

/** The keep-alive interval of the service. The test captures the timers with this interval and fires them itself. */
const KEEP_ALIVE_INTERVAL_MS = 12_000;

let app: TestApp;
let fireTimers: () => void;
beforeAll(async () => {
  const timers = jest.spyOn(globalThis, 'setInterval');
  app = await TestApp.start();
  const callbacks = timers.mock.calls.filter(([, ms]) => ms === KEEP_ALIVE_INTERVAL_MS).map(([run]) => run);
  timers.mockRestore();
  expect(callbacks).toHaveLength(2);
  fireTimers = () => callbacks.forEach((run) => run());
});
afterAll(() => app.stop());

describe('keep-alive every 12 seconds', () => {
  test('a WebSocket client that did not answer the previous ping is disconnected, and one that answers stays', async () => {
    const unresponsive = await RawWebSocket.openAcknowledged(app.url, app.apiKey, { autoPong: false });
    const responsive = await RawWebSocket.openAcknowledged(app.url, app.apiKey);
    for (let round = 0; round < 3; round += 1) {
      const pinged = once(responsive.socket, 'ping');
      fireTimers();
      await pinged;
      // The service answers this ping only after it has read the client's pong, which was sent first.
      responsive.socket.ping();
      await once(responsive.socket, 'pong');
    }
    await expect(unresponsive.closed).resolves.toEqual({ code: 1006, reason: '' });
    expect(responsive.socket.readyState).toBe(responsive.socket.OPEN);
    responsive.cut();
  });

  test('an event stream sends a comment', async () => {
    const headers = { authorization: `Bearer ${app.apiKey}` };
    const outgoing = request(`${app.url}/events`, { headers, agent: false }).end();
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    await waitFor('the first bytes', () => text === 'retry: 1000\n\n');
    fireTimers();
    await waitFor('the comment', () => text === 'retry: 1000\n\n:\n\n');
    outgoing.destroy();
  });
});
