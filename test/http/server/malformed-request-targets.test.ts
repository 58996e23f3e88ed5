import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

/** Sends a request line as it is, and returns the whole response. HTTP libraries refuse to send most of these. */
async function send(requestLine: string): Promise<string> {
  const { hostname, port } = new URL(app.url);
  const socket = connect(Number(port), hostname);
  socket.write(`${requestLine} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  return text(socket);
}

const TARGETS = [
  ...[
    'http://',
    'http://[::1',
    'https://[',
    'http://:0',
    'http://a:99999/',
    'http://a b/',
    'ftp://x',
    '//',
    '///',
  ],
  ...[
    '*',
    '?',
    '#',
    '/?',
    '/%',
    '/%E0%A4%A',
    '/%00',
    '/\\',
    '/graphql%',
    '/graphql?query=%',
    '/graphql/stream?query=%',
  ],
  ...[
    '/images/%',
    '/images/%00',
    '/images/a?w=%',
    '/uploads/%',
    '/callbacks/flux/%/%',
    '/events?taskIds=%',
    '/flux/%',
  ],
  ...[
    '/usage.csv?from=%',
    '/ide/%',
    '/ide/..%2f',
    '/sandbox/%',
    '/sandbox/images/%',
    `/${'a'.repeat(8_000)}`,
  ],
];

describe('a request target that nothing expects', () => {
  test.each(TARGETS)('%s is answered, whatever the method is', async (target) => {
    for (const method of ['GET', 'POST', 'HEAD', 'OPTIONS', 'PUT']) {
      const response = await send(`${method} ${target}`);
      expect(response).toMatch(/^HTTP\/1\.1 [24]\d\d /);
    }
  });

  test('has a request ID in its error response, and is not found', async () => {
    const response = await send('GET http://');
    expect(response).toMatch(/^HTTP\/1\.1 404 [^]*x-request-id: [0-9a-f-]{36}\r\n/i);
    expect(response).toContain('"code":"NOT_FOUND"');
  });
});
