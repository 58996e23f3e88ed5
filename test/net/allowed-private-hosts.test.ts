import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SsrfGuard } from '../../src/net/ssrf-guard.js';
import { GuardedNetwork, NOT_PUBLIC_REASON, PUBLIC_IMAGE_URL } from '../support/net/guarded-network.js';
import { reply } from '../support/net/test-http-server.js';

let guardedNetwork: GuardedNetwork;
beforeEach(async () => (guardedNetwork = await GuardedNetwork.open()));
afterEach(() => guardedNetwork.close());

const allow = (...allowPrivateHosts: string[]) => ({ allowPrivateHosts });

describe('an allowed private host', () => {
  test.each([
    ['127.0.0.1:8080', 'http://127.0.0.1:8080/a.png'],
    ['127.0.0.1:8080', 'http://2130706433:8080/a.png'],
    ['127.1:08080', 'http://127.0.0.1:8080/a.png'],
    ['127.0.0.1', 'http://127.0.0.1:8080/a.png'],
    ['127.0.0.1', 'http://127.0.0.1/a.png'],
    ['127.0.0.1', 'http://127.0.0.1:22/a.png'],
    ['127.0.0.1:80', 'http://127.0.0.1/a.png'],
    ['127.0.0.1:81', 'http://127.0.0.1:81/a.png'],
    ['[::1]', 'http://[::1]:8080/a.png'],
    ['[::1]:8080', 'http://[0:0::1]:8080/a.png'],
    ['[FD00:0::1]:8080', 'http://[fd00::1]:8080/a.png'],
    ['LocalHost:8080', 'http://localhost:8080/a.png'],
    ['localhost', 'http://LOCALHOST.:8080/a.png'],
    ['bucket.internal', 'http://bucket.internal:9000/a.png'],
    ['bücher.example', 'http://xn--bcher-kva.example/a.png'],
    [' bucket.internal.:9000 ', 'http://Bucket.Internal:9000/a.png'],
  ])('%j allows %s', async (entry, url) => {
    await expect(guardedNetwork.guard(allow(entry)).assertPublicUrl(url)).resolves.toBeUndefined();
    const { hostname } = new URL(url);
    guardedNetwork.network.route(hostname.replace(/^\[|\]$/g, ''), guardedNetwork.publicServer);
    await expect(guardedNetwork.download(url, allow('other.internal', entry))).resolves.toBe('image');
    expect(guardedNetwork.publicServer.requests).toMatchObject([{ path: '/a.png' }]);
  });

  test.each([
    ['127.0.0.1:8080', 'http://127.0.0.1:8081/'],
    ['127.0.0.1:8080', 'http://127.0.0.1/'],
    ['127.0.0.1:8080', 'https://127.0.0.1/'],
    ['127.0.0.1:80', 'https://127.0.0.1/'],
    ['127.0.0.1:8080', 'http://127.0.0.2:8080/'],
    ['127.0.0.1:8080', 'http://[::1]:8080/'],
    ['127.0.0.1:8080', 'http://[::ffff:127.0.0.1]:8080/'],
    ['127.0.0.1:8080', 'http://localhost:8080/'],
    ['localhost', 'http://any.localhost/'],
    ['localhost', 'http://127.0.0.1/'],
    ['[::1]:8080', 'http://[::1]:8081/'],
    ['bucket.internal:9000', 'http://bucket.internal:9001/'],
    ['bucket.internal', 'http://private.example/'],
    ['pictures.example', 'http://loopback.example/'],
  ])('%j does not allow %s', async (entry, url) => {
    await guardedNetwork.expectRefused(url, NOT_PUBLIC_REASON, allow(entry));
    await expect(guardedNetwork.guard(allow(entry)).assertPublicUrl(url)).rejects.toMatchObject({
      reason: NOT_PUBLIC_REASON,
    });
  });

  test('is still refused with other protocols, with credentials, and at another low port', async () => {
    const list = allow('bucket.internal:9000');
    const notHttp = 'the URL must be a valid http or https URL';
    await guardedNetwork.expectRefused('ftp://bucket.internal:9000/', notHttp, list);
    const credentials = 'the URL must not contain a user name or password';
    await guardedNetwork.expectRefused('http://me@bucket.internal:9000/', credentials, list);
    const port = 'port 25 is not allowed; use 80, 443, or 1024 and above';
    await guardedNetwork.expectRefused('http://bucket.internal:25/', port, list);
  });

  test('may redirect to a public host and be redirected to, but not redirect to another private host', async () => {
    const list = allow('127.0.0.1:8080');
    guardedNetwork.network.route('127.0.0.1:8080', guardedNetwork.publicServer);
    guardedNetwork.publicServer.handler = (response, { path }) => {
      if (path === '/end') return response.end('image');
      const location = path === '/a.png' ? 'http://127.0.0.1:8080/there' : 'http://pictures.example/end';
      response.writeHead(302, { location }).end();
    };
    await expect(guardedNetwork.download(PUBLIC_IMAGE_URL, list)).resolves.toBe('image');
    expect(guardedNetwork.publicServer.requests.map(({ path }) => path)).toEqual([
      '/a.png',
      '/there',
      '/end',
    ]);
    guardedNetwork.publicServer.handler = reply(302, '', { location: 'http://127.0.0.1:8081/' });
    await guardedNetwork.expectRefused('http://127.0.0.1:8080/', NOT_PUBLIC_REASON, list);
  });

  test('works with a real server', async () => {
    const { port, url } = guardedNetwork.publicServer;
    guardedNetwork.network.restore();
    await expect(guardedNetwork.download(url, allow(`127.0.0.1:${port}`))).resolves.toBe('image');
    await guardedNetwork.expectRefused(
      guardedNetwork.privateServer.url,
      NOT_PUBLIC_REASON,
      allow(`127.0.0.1:${port}`),
    );
    await guardedNetwork.expectRefused(url, NOT_PUBLIC_REASON);
  });
});

test.each([
  '',
  'http://127.0.0.1',
  '127.0.0.1/8',
  'me@host',
  'host:port',
  'host:123456',
  '::1',
  '[::1',
  'a b',
])('an invalid entry is refused: %j', (entry) => {
  expect(() => new SsrfGuard(allow(entry))).toThrow(
    `ALLOW_PRIVATE_HOSTS contains "${entry}", which is not a host. Use host or host:port, with IPv6 in brackets.`,
  );
});
