import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { getDefaultAutoSelectFamily, setDefaultAutoSelectFamily } from 'node:net';
import { AddressRefused, isPrivateUrl } from '../../src/net/guard.js';
import { changingDns, GuardedWorld, NOT_PUBLIC, PICTURE } from '../support/net/guarded-network.js';
import { BAD_FORMS, PRIVATE_HOSTS } from '../support/net/hostile-urls.js';
import { failureOf, reply } from '../support/net/http-peer.js';

let world: GuardedWorld;
beforeEach(async () => (world = await GuardedWorld.open()));
afterEach(() => world.close());

const hostile = [...PRIVATE_HOSTS.map((url) => [url, NOT_PUBLIC] as const), ...BAD_FORMS];
/** What a Location header can hold, and what is not relative to the page before. */
const redirects = hostile.filter(([url]) => /^(?!http:1)[a-z]+:[!-~]*$/i.test(url));
const withPort = (url: string) => url.replace('PORT', `${world.victim.port}`);

describe('a hostile address', () => {
  test.each(hostile)('%j is neither connected to nor said to be reachable', async (url, reason) => {
    await world.expectRefused(withPort(url), reason);
    expect(world.network.dialled).toEqual([]);
    const checked = world.guard().mayReach(withPort(url));
    await expect(checked).rejects.toBeInstanceOf(AddressRefused);
    await expect(checked).rejects.toMatchObject({ reason });
  });

  test.each(redirects)('a redirect to %j is not followed', async (url, reason) => {
    for (const status of [301, 302, 303, 307, 308]) {
      world.front.answer = reply(status, 'moved', { location: withPort(url) });
      await world.expectRefused(PICTURE, reason);
    }
    expect(world.front.received).toHaveLength(5);
  });

  test('is refused behind a hop that is allowed', async () => {
    world.front.answer = (response, { path }) => {
      const location = path === '/a.png' ? '//pictures.example/b' : `//127.0.0.1:${world.victim.port}/`;
      response.writeHead(302, { location }).end();
    };
    await world.expectRefused(PICTURE, NOT_PUBLIC);
    expect(world.front.received.map(({ path }) => path)).toEqual(['/a.png', '/b']);
  });

  test('is not asked for after three redirects, nor is any other', async () => {
    world.front.answer = reply(302, '', { location: PICTURE });
    await expect(failureOf(world.download(PICTURE))).resolves.toMatchObject({
      reason: 'it was redirected more than 3 times',
    });
    expect(world.front.received).toHaveLength(4);
  });

  test('gets no posted JSON either, on a shared connection or on its own', async () => {
    const client = world.client(world.guard());
    for (const freshConnection of [true, false]) {
      const post = client.postJson(world.victim.url, {}, { timeoutMs: 10_000, freshConnection });
      await expect(failureOf(post)).resolves.toMatchObject({ sent: 'no', reason: NOT_PUBLIC });
    }
    await world.expectNothingArrived();
  });

  test('is refused without a word on what the name stands for', async () => {
    const failure = await world.expectRefused('http://private.example/secret?secret', NOT_PUBLIC);
    expect(`${failure.message} ${String(failure.cause)}`).not.toMatch(/private\.example|10\.20|secret/);
  });
});

describe('DNS that changes its mind', () => {
  test('is asked once for a connection, which goes to the answer that was checked', async () => {
    await expect(world.download(PICTURE, changingDns('93.184.216.34'))).resolves.toBe('picture');
    expect(world.network.dialled).toEqual(['93.184.216.34 80']);
  });

  test('gains nothing between the check of a URL and the connection', async () => {
    const dns = changingDns('93.184.216.34');
    await expect(world.guard(dns).mayReach(PICTURE)).resolves.toBeUndefined();
    await world.expectRefused(PICTURE, NOT_PUBLIC, dns);
    expect(world.network.dialled).toEqual([]);
  });

  test('gains nothing between two hops of a redirect', async () => {
    world.front.answer = reply(302, '', { location: 'http://pictures.example:8080/' });
    await world.expectRefused(PICTURE, NOT_PUBLIC, changingDns('93.184.216.34'));
    expect(world.network.dialled).toEqual(['93.184.216.34 80']);
  });
});

describe('a public address', () => {
  test.each([
    ['a name', PICTURE, '93.184.216.34 2606:2800:220:1::1 80'],
    ['an absolute name', 'http://PICTURES.example./', '93.184.216.34 2606:2800:220:1::1 80'],
    ['a name at another port', 'http://pictures.example:6379/', '93.184.216.34 2606:2800:220:1::1 6379'],
    ['another name with a dot than without', 'http://intranet./', '93.184.216.34 80'],
    ['IPv4', 'http://93.184.216.34:8080/', '93.184.216.34 8080'],
    ['IPv6', 'http://[2606:2800:220:1::1]:443/', '2606:2800:220:1::1 443'],
  ])('is connected to: %s', async (_what, url, dialled) => {
    ['pictures.example.', 'intranet.'].forEach((host) => world.network.route(host, world.front));
    await expect(world.guard().mayReach(url)).resolves.toBeUndefined();
    await expect(world.download(url)).resolves.toBe('picture');
    expect(world.network.dialled).toEqual([dialled]);
  });

  test('is connected to, and a private one is not, where Node takes one address of a name only', async () => {
    const before = getDefaultAutoSelectFamily();
    setDefaultAutoSelectFamily(false);
    try {
      await expect(world.download(PICTURE)).resolves.toBe('picture');
      await world.expectRefused('http://mixed.example/', NOT_PUBLIC);
    } finally {
      setDefaultAutoSelectFamily(before);
    }
    expect(world.network.dialled).toEqual(['93.184.216.34 80']);
  });

  test.each([
    ['says that there is no such name', undefined],
    ['answers with nothing', { resolve: async () => Promise.resolve([]) }],
  ])('fails when DNS %s, and may still be reached by others', async (_what, dns) => {
    const failure = await failureOf(world.download('http://nobody.example/', dns));
    expect(failure).toMatchObject({ sent: 'no', reason: 'the host name is not known' });
    await expect(world.guard(dns).mayReach('http://nobody.example/')).resolves.toBeUndefined();
  });

  test('may be reached by others when DNS takes too long', async () => {
    const guard = world.guard({ resolve: () => new Promise(() => undefined), lookupTimeoutMs: 10 });
    await expect(guard.mayReach(PICTURE)).resolves.toBeUndefined();
  });
});

test.each([
  ['http://127.0.0.1:4000', true],
  ['http://[::1]/', true],
  ['http://localhost./', true],
  ['http://192.168.1.5/', true],
  ['https://pictures.example/', false],
  ['https://93.184.216.34/', false],
  ['not a url', false],
])('without asking DNS, that %s is private: %s', (url, expected) => {
  expect(isPrivateUrl(url)).toBe(expected);
});
