import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';

const ALLOWED_ORIGIN = 'https://app.example.com';
const OTHER_ORIGIN = 'https://elsewhere.example';
const VIEWER = JSON.stringify({ query: '{ viewer { keyName } }' });
const JSON_TYPE = { 'content-type': 'application/json' };

let app: TestApp;
let authorization: string;
beforeAll(async () => {
  app = await TestApp.start({ environment: { ROLES: 'api', ALLOWED_ORIGINS: ALLOWED_ORIGIN } });
  authorization = `Bearer ${app.apiKey}`;
});
afterAll(() => app.stop());

const post = (body: string | Buffer, headers: Record<string, string> = {}) =>
  fetch(`${app.url}/graphql`, { method: 'POST', body, headers: { ...JSON_TYPE, authorization, ...headers } });

async function errorCodeOf(response: Response): Promise<unknown> {
  const { errors } = (await response.json()) as { errors: { extensions: { code: unknown } }[] };
  return errors[0]?.extensions.code;
}

/** Opens a TCP connection and sends raw text. */
async function connectAndSend(text: string): Promise<Socket> {
  const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.on('error', () => undefined).write(text);
  return socket;
}

describe('a response of /graphql', () => {
  test('has the security headers of all other paths and must not be cached', async () => {
    const [success, failure, other] = await Promise.all([
      post(VIEWER),
      post(VIEWER, { authorization: 'none' }),
      fetch(`${app.url}/nothing`),
    ]);
    const specific =
      /^(date|connection|keep-alive|etag|content-|cache-control|x-request-id|www-authenticate)/;
    const common = ({ headers }: Response) => [...headers].filter(([name]) => !specific.test(name)).sort();
    expect(common(success)).toEqual(common(other));
    expect(common(failure)).toEqual(common(other));
    expect(success.headers.get('x-content-type-options')).toBe('nosniff');
    expect(success.headers.get('content-security-policy')).toContain("default-src 'self'");
    for (const { headers } of [success, failure]) expect(headers.get('cache-control')).toBe('no-store');
    expect([success.status, failure.status]).toEqual([200, 401]);
  });

  test('has a request ID that the log line has too, with the status and without the query', async () => {
    const { headers } = await fetch(`${app.url}/graphql?query=%7Bsecret%7D`, {
      headers: { ...JSON_TYPE, authorization },
    });
    const id = headers.get('x-request-id') ?? 'none';
    const line = await waitFor('the log line', () =>
      app.logLines
        .map((text) => JSON.parse(text) as Record<string, unknown>)
        .find(({ reqId }) => reqId === id),
    );
    expect(line).toMatchObject({
      msg: 'request completed',
      req: { method: 'GET', url: '/graphql' },
      res: { statusCode: 400 },
    });
    const other = await post(VIEWER);
    expect(other.headers.get('x-request-id')).not.toBe(id);
  });
});

test('a client may send the absolute form of /graphql, as a request and for a WebSocket', async () => {
  const head = `http://example.com/graphql HTTP/1.1\r\nhost: example.com\r\n`;
  const post = `${head}authorization: ${authorization}\r\ncontent-type: application/json\r\nconnection: close\r\n`;
  const request = await connectAndSend(`POST ${post}content-length: ${VIEWER.length}\r\n\r\n${VIEWER}`);
  expect(await text(request)).toMatch(/^HTTP\/1.1 200 [^]*"keyName":"first key"/);
  const upgrade = 'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n';
  const key = `sec-websocket-key: ${randomBytes(16).toString('base64')}\r\n`;
  const protocol = 'sec-websocket-protocol: graphql-transport-ws\r\n';
  const webSocket = await connectAndSend(`GET ${head}${upgrade}${key}${protocol}\r\n`);
  const [piece] = (await once(webSocket, 'data')) as [Buffer];
  expect(piece.toString()).toMatch(/^HTTP\/1.1 101 /);
  webSocket.destroy();
});

describe('a body', () => {
  test.each([
    ['gzip', gzipSync(VIEWER)],
    ['deflate', deflateSync(VIEWER)],
    ['br', brotliCompressSync(VIEWER)],
  ])('can be compressed with %s', async (encoding, body) => {
    const response = await post(body, { 'content-encoding': encoding });
    expect(await response.json()).toEqual({ data: { viewer: { keyName: 'first key' } } });
  });

  test('is rejected if it decompresses to more than 1 MB, has an unknown encoding or is corrupt', async () => {
    const large = gzipSync(JSON.stringify({ query: `#${'x'.repeat(2 * 1024 * 1024)}` }));
    expect(large.length).toBeLessThan(10_000);
    const tooLarge = await post(large, { 'content-encoding': 'gzip' });
    expect([tooLarge.status, await errorCodeOf(tooLarge)]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
    for (const headers of [{ 'content-encoding': 'rot13' }, { 'content-encoding': 'gzip' }]) {
      const response = await post(VIEWER, headers);
      expect([response.status, await errorCodeOf(response)]).toEqual([400, 'BAD_REQUEST']);
    }
  });

  test('is rejected if it is longer than 1 MB and has no content-length', async () => {
    const chunk = Buffer.alloc(256 * 1024, ' ');
    const body = new ReadableStream({
      start: (controller) => {
        for (let sent = 0; sent < 6; sent += 1) controller.enqueue(chunk);
        controller.close();
      },
    });
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { ...JSON_TYPE, authorization },
      body,
      duplex: 'half',
    });
    expect([response.status, await errorCodeOf(response)]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
  });

  test('is discarded if the client disconnects before it is complete', async () => {
    const head = `POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\n`;
    const socket = await connectAndSend(`${head}content-length: 500\r\n\r\n{"query":`);
    socket.destroy();
    await waitFor('the log line', () => app.logLines.some((line) => line.includes('request aborted')));
    expect((await post(VIEWER)).status).toBe(200);
  });
});

describe('a request that a page can send without a preflight is rejected as a possible forgery:', () => {
  test.each([
    ['a GET without content-type', 'GET', {}],
    ['a POST of text/plain', 'POST', { 'content-type': 'text/plain' }],
    ['a POST of a form', 'POST', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['a POST of a multipart form', 'POST', { 'content-type': 'multipart/form-data; boundary=x' }],
  ])('%s', async (_request, method, headers) => {
    const send = (extraHeaders: Record<string, string>) =>
      fetch(`${app.url}/graphql?query=%7Bviewer%7BkeyName%7D%7D`, {
        method,
        headers: { ...headers, authorization, ...extraHeaders },
        ...(method === 'POST' && { body: VIEWER }),
      });
    const rejected = await send({});
    expect(rejected.status).toBe(400);
    const { errors } = (await rejected.json()) as { errors: { message: string }[] };
    expect(errors[0]?.message).toContain('Cross-Site Request Forgery');
    const accepted = await send({ 'apollo-require-preflight': 'yes' });
    const text = await accepted.text();
    expect(text).not.toContain('Cross-Site Request Forgery');
    if (method === 'GET') expect(text).toBe('{"data":{"viewer":{"keyName":"first key"}}}\n');
  });
});

describe('ALLOWED_ORIGINS over HTTP', () => {
  test.each(['/graphql', '/graphql/stream'])(
    'lets only the listed pages read responses of %s',
    async (path) => {
      const send = (origin: string) =>
        fetch(app.url + path, {
          method: 'POST',
          body: VIEWER,
          headers: { ...JSON_TYPE, authorization, origin },
        });
      const allowed = [];
      for (const origin of [ALLOWED_ORIGIN, OTHER_ORIGIN, 'null', `${ALLOWED_ORIGIN}.elsewhere.example`]) {
        const { headers } = await send(origin);
        expect(headers.get('vary')).toMatch(/origin/i);
        allowed.push(headers.get('access-control-allow-origin'));
      }
      expect(allowed).toEqual([ALLOWED_ORIGIN, null, null, null]);
    },
  );

  test.each(['/graphql', '/graphql/', '/graphql/stream'])('applies to the preflight of %s', async (path) => {
    const send = (origin: string) =>
      fetch(app.url + path, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST' },
      });
    expect((await send(ALLOWED_ORIGIN)).headers.get('access-control-allow-origin')).toBe(ALLOWED_ORIGIN);
    expect((await send(OTHER_ORIGIN)).headers.get('access-control-allow-origin')).toBeNull();
  });
});

test.each(['/graphql/', '/GraphQL', '/graphql?a=b'])('%s is the same endpoint', async (path) => {
  const response = await fetch(app.url + path, {
    method: 'POST',
    body: VIEWER,
    headers: { ...JSON_TYPE, authorization },
  });
  expect(response.status).toBe(200);
});

test.each(['PUT', 'DELETE', 'PATCH'])('the method %s is not allowed', async (method) => {
  const response = await fetch(`${app.url}/graphql`, {
    method,
    body: VIEWER,
    headers: { ...JSON_TYPE, authorization },
  });
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, POST']);
});
