import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { RawSocket } from '../../support/events/raw-websocket.js';

/** As the service does it; the test gives the beat. */
const BEAT_MS = 12_000;

let app: TestApp;
let beat: () => void;
beforeAll(async () => {
  const timers = jest.spyOn(globalThis, 'setInterval');
  app = await TestApp.start();
  const beats = timers.mock.calls.filter(([, ms]) => ms === BEAT_MS).map(([run]) => run);
  timers.mockRestore();
  expect(beats).toHaveLength(2);
  beat = () => beats.forEach((run) => run());
});
afterAll(() => app.stop());

describe('every 12 seconds', () => {
  test('a WebSocket client that has not answered the ping before is cut, and who answers stays', async () => {
    const mute = await RawSocket.ready(app.url, app.key, { autoPong: false });
    const alive = await RawSocket.ready(app.url, app.key);
    for (let turn = 0; turn < 3; turn += 1) {
      const pinged = once(alive.socket, 'ping');
      beat();
      await pinged;
      // Answered after our pong, which came before it on the same wire.
      alive.socket.ping();
      await once(alive.socket, 'pong');
    }
    await expect(mute.closed).resolves.toEqual({ code: 1006, reason: '' });
    expect(alive.socket.readyState).toBe(alive.socket.OPEN);
    alive.cut();
  });

  test('an event stream shows a sign of life', async () => {
    const headers = { authorization: `Bearer ${app.key}` };
    const asked = request(`${app.url}/events`, { headers, agent: false }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    await waitFor('the beginning', () => text === 'retry: 1000\n\n');
    beat();
    await waitFor('the sign', () => text === 'retry: 1000\n\n:\n\n');
    asked.destroy();
  });
});
