import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Peer, reply } from '../../support/net/http-peer.js';
import { TestApp } from '../../support/app/test-app.js';
import { deliveriesOf, LOOPBACK, SMALL } from '../../support/webhooks/received-webhooks.js';

/** A page of a customer's own site may have a password in its path. */
const PATH = '/hooks/9f86d081884c7d65?token=e3b0c44298fc1c14';

let app: TestApp;
let receiver: Peer;
let other: Peer;

beforeAll(async () => {
  const tuning = { deliveryDelaysMs: [20], deliveryTimeoutMs: 1_000 };
  app = await TestApp.start({ environment: LOOPBACK, tuning });
});
afterAll(() => app.stop());
beforeEach(async () => {
  receiver = await Peer.open(reply(200, ''));
  other = await Peer.open(reply(200, ''));
});
afterEach(async () => {
  await receiver.close();
  await other.close();
});

/** What came of a task's callback: its last attempt. */
async function attempt(until: 'CALLBACK_DELIVERED' | 'CALLBACK_ABANDONED' = 'CALLBACK_DELIVERED') {
  const input = { ...SMALL, prompt: 'answered', callbackUrl: receiver.url + PATH };
  const { id } = await app.generate(input);
  await app.happened(id, until);
  return (await deliveriesOf(app, id)).nodes[0];
}

describe('an answer', () => {
  test.each([200, 201, 202, 204, 299])('of %d means delivered', async (status) => {
    receiver.answer = reply(status, '');
    expect(await attempt()).toMatchObject({ attempt: 1, statusCode: status, failure: null });
  });

  test.each([301, 302, 303, 307, 308])('of %d is not followed', async (status) => {
    receiver.answer = reply(status, '', { location: `${other.url}/elsewhere` });
    const failure = `It answered ${status}; redirects are not followed.`;
    expect(await attempt('CALLBACK_ABANDONED')).toMatchObject({ attempt: 2, statusCode: status, failure });
    expect(other.sockets.size).toBe(0);
  });

  test.each([400, 401, 404, 429, 500, 599, 999])('of %d means another attempt', async (status) => {
    receiver.answer = reply(status, 'no');
    const failure = `It answered ${status}.`;
    expect(await attempt('CALLBACK_ABANDONED')).toMatchObject({ attempt: 2, failure, answer: 'no' });
  });

  test('is kept up to its first kilobyte, and a long one is cut', async () => {
    const chunk = Buffer.alloc(64 * 1024, 'abcd');
    // More than what the system keeps on the way.
    const chunks = 1_000;
    let sent = 0;
    receiver.answer = (response) => {
      response.writeHead(200, { 'content-length': String(chunks * chunk.length) });
      const more = (): unknown => {
        while (sent < chunks) {
          sent += 1;
          if (!response.write(chunk)) return response.once('drain', more);
        }
        return response.end();
      };
      more();
    };
    expect(await attempt()).toMatchObject({ statusCode: 200, answer: 'abcd'.repeat(256) });
    expect(sent).toBeLessThan(chunks);
  });

  test('of any bytes is kept as text', async () => {
    receiver.answer = (response) =>
      response.writeHead(200).end(Buffer.from([0, 1, 0xff, 0xd8, 0x00, 0x41, 0xed, 0xa0, 0x80]));
    expect(await attempt()).toMatchObject({ answer: '\uFFFD\u0001\uFFFD\uFFFD\uFFFDA\uFFFD\uFFFD\uFFFD' });
  });

  test('that breaks off after its status counts by its status', async () => {
    receiver.answer = (response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('taken', () => response.destroy());
    };
    expect(await attempt()).toMatchObject({ attempt: 1, statusCode: 200 });
  });

  test('whose body never ends counts by its status', async () => {
    receiver.answer = (response) => {
      response.writeHead(202);
      response.write('taken');
    };
    expect(await attempt()).toMatchObject({ attempt: 1, statusCode: 202, answer: 'taken' });
  });

  test('that does not come is a failure', async () => {
    receiver.answer = () => undefined;
    const failure = 'no complete answer within 1 s';
    expect(await attempt('CALLBACK_ABANDONED')).toMatchObject({ attempt: 2, statusCode: null, failure });
  });
});

test('The paths of receivers and their secrets are never logged', () => {
  expect(app.logged.some((line) => line.includes('a callback was posted'))).toBe(true);
  const text = app.logged.join('');
  for (const word of ['9f86d081884c7d65', 'e3b0c44298fc1c14', 'whsec_']) expect(text).not.toContain(word);
});
