import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { AddressGuard } from '../../src/net/guard.js';
import { GuardedWorld, NOT_PUBLIC, PICTURE } from '../support/net/guarded-network.js';
import { reply } from '../support/net/http-peer.js';

let world: GuardedWorld;
beforeEach(async () => (world = await GuardedWorld.open()));
afterEach(() => world.close());

const allow = (...allowPrivateHosts: string[]) => ({ allowPrivateHosts });

describe('a private host of the list', () => {
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
  ])('%j opens %s', async (entry, url) => {
    await expect(world.guard(allow(entry)).mayReach(url)).resolves.toBeUndefined();
    const { hostname } = new URL(url);
    world.network.route(hostname.replace(/^\[|\]$/g, ''), world.front);
    await expect(world.download(url, allow('other.internal', entry))).resolves.toBe('picture');
    expect(world.front.received).toMatchObject([{ path: '/a.png' }]);
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
  ])('%j does not open %s', async (entry, url) => {
    await world.expectRefused(url, NOT_PUBLIC, allow(entry));
    await expect(world.guard(allow(entry)).mayReach(url)).rejects.toMatchObject({ reason: NOT_PUBLIC });
  });

  test('is still not spoken to in other protocols or with credentials, or at another low port', async () => {
    const list = allow('bucket.internal:9000');
    const notHttp = 'the address is not an http or https URL';
    await world.expectRefused('ftp://bucket.internal:9000/', notHttp, list);
    const credentials = 'the address holds a user name or a password';
    await world.expectRefused('http://me@bucket.internal:9000/', credentials, list);
    const port = 'port 25 is used for other things than HTTP, which is at 80, 443, and 1024 and above';
    await world.expectRefused('http://bucket.internal:25/', port, list);
  });

  test('may redirect to the public and be redirected to, but leads to no other private one', async () => {
    const list = allow('127.0.0.1:8080');
    world.network.route('127.0.0.1:8080', world.front);
    world.front.answer = (response, { path }) => {
      if (path === '/end') return response.end('picture');
      const location = path === '/a.png' ? 'http://127.0.0.1:8080/there' : 'http://pictures.example/end';
      response.writeHead(302, { location }).end();
    };
    await expect(world.download(PICTURE, list)).resolves.toBe('picture');
    expect(world.front.received.map(({ path }) => path)).toEqual(['/a.png', '/there', '/end']);
    world.front.answer = reply(302, '', { location: 'http://127.0.0.1:8081/' });
    await world.expectRefused('http://127.0.0.1:8080/', NOT_PUBLIC, list);
  });

  test('is a server that is really there', async () => {
    const { port, url } = world.front;
    world.network.restore();
    await expect(world.download(url, allow(`127.0.0.1:${port}`))).resolves.toBe('picture');
    await world.expectRefused(world.victim.url, NOT_PUBLIC, allow(`127.0.0.1:${port}`));
    await world.expectRefused(url, NOT_PUBLIC);
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
])('an entry that is no host is refused: %j', (entry) => {
  expect(() => new AddressGuard(allow(entry))).toThrow(`"${entry}" is not a host or host:port.`);
});
