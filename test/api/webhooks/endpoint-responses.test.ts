import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { TestHttpServer, reply } from '../../support/net/test-http-server.js';
import { TestApp } from '../../support/app/test-app.js';
import {
  webhookAttemptsOf,
  ALLOW_LOOPBACK,
  CHEAPEST_REQUEST,
} from '../../support/webhooks/received-webhooks.js';

/** Webhook URLs often contain a secret in their path or query. */
const PATH = '/hooks/9f86d081884c7d65?token=e3b0c44298fc1c14';

let app: TestApp;
let endpoint: TestHttpServer;
let redirectTarget: TestHttpServer;

beforeAll(async () => {
  const tuning = { webhookRetryDelaysMs: [20], webhookTimeoutMs: 1_000 };
  app = await TestApp.start({ environment: ALLOW_LOOPBACK, tuning });
});
afterAll(() => app.stop());
beforeEach(async () => {
  endpoint = await TestHttpServer.open(reply(200, ''));
  redirectTarget = await TestHttpServer.open(reply(200, ''));
});
afterEach(async () => {
  await endpoint.close();
  await redirectTarget.close();
});

/** Creates a task, waits until its webhook is delivered or abandoned, and returns the last attempt. */
async function lastAttempt(outcome: 'WEBHOOK_DELIVERED' | 'WEBHOOK_ABANDONED' = 'WEBHOOK_DELIVERED') {
  const input = { ...CHEAPEST_REQUEST, prompt: 'answered', webhookUrl: endpoint.url + PATH };
  const { id } = await app.generate(input);
  await app.waitForEvent(id, outcome);
  return (await webhookAttemptsOf(app, id)).nodes[0];
}

describe('a response', () => {
  test.each([200, 201, 202, 204, 299])('with status %d delivers the webhook', async (status) => {
    endpoint.handler = reply(status, '');
    expect(await lastAttempt()).toMatchObject({ attemptNumber: 1, statusCode: status, errorMessage: null });
  });

  test.each([301, 302, 303, 307, 308])('with status %d is not followed and is a failure', async (status) => {
    endpoint.handler = reply(status, '', { location: `${redirectTarget.url}/elsewhere` });
    const errorMessage = `The endpoint responded with status ${status}. Redirects are not followed.`;
    expect(await lastAttempt('WEBHOOK_ABANDONED')).toMatchObject({
      attemptNumber: 2,
      statusCode: status,
      errorMessage,
    });
    expect(redirectTarget.sockets.size).toBe(0);
  });

  test.each([400, 401, 404, 429, 500, 599, 999])(
    'with status %d is a failure that is retried',
    async (status) => {
      endpoint.handler = reply(status, 'no');
      const errorMessage = `The endpoint responded with status ${status}.`;
      expect(await lastAttempt('WEBHOOK_ABANDONED')).toMatchObject({
        attemptNumber: 2,
        errorMessage,
        responseBody: 'no',
      });
    },
  );

  test('is recorded up to its first kilobyte, and the rest of a long one is not read', async () => {
    const chunk = Buffer.alloc(64 * 1024, 'abcd');
    // More than the socket buffers of both sides can hold.
    const chunks = 1_000;
    let sent = 0;
    endpoint.handler = (response) => {
      response.writeHead(200, { 'content-length': String(chunks * chunk.length) });
      const sendMore = (): unknown => {
        while (sent < chunks) {
          sent += 1;
          if (!response.write(chunk)) return response.once('drain', sendMore);
        }
        return response.end();
      };
      sendMore();
    };
    expect(await lastAttempt()).toMatchObject({ statusCode: 200, responseBody: 'abcd'.repeat(256) });
    expect(sent).toBeLessThan(chunks);
  });

  test('with invalid UTF-8 is recorded as text', async () => {
    endpoint.handler = (response) =>
      response.writeHead(200).end(Buffer.from([0, 1, 0xff, 0xd8, 0x00, 0x41, 0xed, 0xa0, 0x80]));
    expect(await lastAttempt()).toMatchObject({
      responseBody: '\uFFFD\u0001\uFFFD\uFFFD\uFFFDA\uFFFD\uFFFD\uFFFD',
    });
  });

  test('that is cut off after its status counts by its status', async () => {
    endpoint.handler = (response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('accepted', () => response.destroy());
    };
    expect(await lastAttempt()).toMatchObject({ attemptNumber: 1, statusCode: 200 });
  });

  test('whose body never ends counts by its status', async () => {
    endpoint.handler = (response) => {
      response.writeHead(202);
      response.write('accepted');
    };
    expect(await lastAttempt()).toMatchObject({
      attemptNumber: 1,
      statusCode: 202,
      responseBody: 'accepted',
    });
  });

  test('that does not arrive in time is a failure', async () => {
    endpoint.handler = () => undefined;
    const errorMessage = 'no complete response within 1 s';
    expect(await lastAttempt('WEBHOOK_ABANDONED')).toMatchObject({
      attemptNumber: 2,
      statusCode: null,
      errorMessage,
    });
  });
});

test('The paths of webhook URLs and the webhook secrets are never logged', () => {
  expect(app.logLines.some((line) => line.includes('a webhook was posted'))).toBe(true);
  const text = app.logLines.join('');
  for (const secret of ['9f86d081884c7d65', 'e3b0c44298fc1c14', 'whsec_']) expect(text).not.toContain(secret);
});
