import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';

const OUR_PAGE = 'https://app.example.com';
const ELSEWHERE = 'https://elsewhere.example';
const VIEWER = JSON.stringify({ query: '{ viewer { keyName } }' });
const JSON_TYPE = { 'content-type': 'application/json' };

let app: TestApp;
let authorization: string;
beforeAll(async () => {
  app = await TestApp.start({ environment: { ROLES: 'api', ALLOWED_ORIGINS: OUR_PAGE } });
  authorization = `Bearer ${app.key}`;
});
afterAll(() => app.stop());

const post = (body: string | Buffer, headers: Record<string, string> = {}) =>
  fetch(`${app.url}/graphql`, { method: 'POST', body, headers: { ...JSON_TYPE, authorization, ...headers } });

async function codeOf(answer: Response): Promise<unknown> {
  const { errors } = (await answer.json()) as { errors: { extensions: { code: unknown } }[] };
  return errors[0]?.extensions.code;
}

/** A connection that says just what it is told. */
async function dial(text: string): Promise<Socket> {
  const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.on('error', () => undefined).write(text);
  return socket;
}

describe('an answer of /graphql', () => {
  test('has the security headers that every other path has, and is not to be kept', async () => {
    const [answer, refusal, other] = await Promise.all([
      post(VIEWER),
      post(VIEWER, { authorization: 'none' }),
      fetch(`${app.url}/nothing`),
    ]);
    const apart = /^(date|connection|keep-alive|etag|content-|cache-control|x-request-id|www-authenticate)/;
    const common = ({ headers }: Response) => [...headers].filter(([name]) => !apart.test(name)).sort();
    expect(common(answer)).toEqual(common(other));
    expect(common(refusal)).toEqual(common(other));
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'self'");
    for (const { headers } of [answer, refusal]) expect(headers.get('cache-control')).toBe('no-store');
    expect([answer.status, refusal.status]).toEqual([200, 401]);
  });

  test('has an id by which the log knows its request, with the status and without the query', async () => {
    const { headers } = await fetch(`${app.url}/graphql?query=%7Bsecret%7D`, {
      headers: { ...JSON_TYPE, authorization },
    });
    const id = headers.get('x-request-id') ?? 'none';
    const line = await waitFor('the line', () =>
      app.logged.map((text) => JSON.parse(text) as Record<string, unknown>).find(({ reqId }) => reqId === id),
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

describe('a body', () => {
  test.each([
    ['gzip', gzipSync(VIEWER)],
    ['deflate', deflateSync(VIEWER)],
    ['br', brotliCompressSync(VIEWER)],
  ])('is read when it is packed by %s', async (encoding, body) => {
    const answer = await post(body, { 'content-encoding': encoding });
    expect(await answer.json()).toEqual({ data: { viewer: { keyName: 'first key' } } });
  });

  test('that unpacks to more than 1 MB is refused, and so is one of unknown packing or that is damaged', async () => {
    const large = gzipSync(JSON.stringify({ query: `#${'x'.repeat(2 * 1024 * 1024)}` }));
    expect(large.length).toBeLessThan(10_000);
    const refused = await post(large, { 'content-encoding': 'gzip' });
    expect([refused.status, await codeOf(refused)]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
    for (const headers of [{ 'content-encoding': 'rot13' }, { 'content-encoding': 'gzip' }]) {
      const answer = await post(VIEWER, headers);
      expect([answer.status, await codeOf(answer)]).toEqual([400, 'BAD_REQUEST']);
    }
  });

  test('over 1 MB that does not say its length is refused', async () => {
    const chunk = Buffer.alloc(256 * 1024, ' ');
    const body = new ReadableStream({
      start: (controller) => {
        for (let sent = 0; sent < 6; sent += 1) controller.enqueue(chunk);
        controller.close();
      },
    });
    const answer = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { ...JSON_TYPE, authorization },
      body,
      duplex: 'half',
    });
    expect([answer.status, await codeOf(answer)]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
  });

  test('that is cut short by a client that leaves is forgotten', async () => {
    const head = `POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\n`;
    const socket = await dial(`${head}content-length: 500\r\n\r\n{"query":`);
    socket.destroy();
    await waitFor('the line in the log', () => app.logged.some((line) => line.includes('request aborted')));
    expect((await post(VIEWER)).status).toBe(200);
  });
});

describe('a request that a page can send without asking first is refused as forged:', () => {
  test.each([
    ['a GET without content-type', 'GET', {}],
    ['a POST of text/plain', 'POST', { 'content-type': 'text/plain' }],
    ['a POST of a form', 'POST', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['a POST of a multipart form', 'POST', { 'content-type': 'multipart/form-data; boundary=x' }],
  ])('%s', async (_what, method, headers) => {
    const ask = (more: Record<string, string>) =>
      fetch(`${app.url}/graphql?query=%7Bviewer%7BkeyName%7D%7D`, {
        method,
        headers: { ...headers, authorization, ...more },
        ...(method === 'POST' && { body: VIEWER }),
      });
    const refused = await ask({});
    expect(refused.status).toBe(400);
    const { errors } = (await refused.json()) as { errors: { message: string }[] };
    expect(errors[0]?.message).toContain('Cross-Site Request Forgery');
    const asked = await ask({ 'apollo-require-preflight': 'yes' });
    const text = await asked.text();
    expect(text).not.toContain('Cross-Site Request Forgery');
    if (method === 'GET') expect(text).toBe('{"data":{"viewer":{"keyName":"first key"}}}\n');
  });
});

describe('ALLOWED_ORIGINS, over HTTP', () => {
  test.each(['/graphql', '/graphql/stream'])(
    '%s lets pages read its answers that are named',
    async (path) => {
      const ask = (origin: string) =>
        fetch(app.url + path, {
          method: 'POST',
          body: VIEWER,
          headers: { ...JSON_TYPE, authorization, origin },
        });
      const allowed = [];
      for (const origin of [OUR_PAGE, ELSEWHERE, 'null', `${OUR_PAGE}.elsewhere.example`]) {
        const { headers } = await ask(origin);
        expect(headers.get('vary')).toMatch(/origin/i);
        allowed.push(headers.get('access-control-allow-origin'));
      }
      expect(allowed).toEqual([OUR_PAGE, null, null, null]);
    },
  );

  test.each(['/graphql', '/graphql/', '/graphql/stream'])('answers the preflight of %s', async (path) => {
    const ask = (origin: string) =>
      fetch(app.url + path, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST' },
      });
    expect((await ask(OUR_PAGE)).headers.get('access-control-allow-origin')).toBe(OUR_PAGE);
    expect((await ask(ELSEWHERE)).headers.get('access-control-allow-origin')).toBeNull();
  });
});

test.each(['/graphql/', '/GraphQL', '/graphql?a=b'])('%s is the same address', async (path) => {
  const answer = await fetch(app.url + path, {
    method: 'POST',
    body: VIEWER,
    headers: { ...JSON_TYPE, authorization },
  });
  expect(answer.status).toBe(200);
});

test.each(['PUT', 'DELETE', 'PATCH'])('%s is not a way to ask', async (method) => {
  const answer = await fetch(`${app.url}/graphql`, {
    method,
    body: VIEWER,
    headers: { ...JSON_TYPE, authorization },
  });
  expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, POST']);
});
