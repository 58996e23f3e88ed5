import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { getDefaultAutoSelectFamily, setDefaultAutoSelectFamily } from 'node:net';
import { UrlRefused, isPrivateUrl } from '../../src/net/ssrf-guard.js';
import {
  changingDns,
  GuardedNetwork,
  NOT_PUBLIC_REASON,
  PUBLIC_IMAGE_URL,
} from '../support/net/guarded-network.js';
import { INVALID_URLS, PRIVATE_HOST_URLS } from '../support/net/hostile-urls.js';
import { expectRequestFailed, reply } from '../support/net/test-http-server.js';

let guardedNetwork: GuardedNetwork;
beforeEach(async () => (guardedNetwork = await GuardedNetwork.open()));
afterEach(() => guardedNetwork.close());

const hostileUrls = [...PRIVATE_HOST_URLS.map((url) => [url, NOT_PUBLIC_REASON] as const), ...INVALID_URLS];
/** URLs that a Location header can contain and that are not relative to the previous URL. */
const redirectTargets = hostileUrls.filter(([url]) => /^(?!http:1)[a-z]+:[!-~]*$/i.test(url));
const insertPort = (url: string) => url.replace('PORT', `${guardedNetwork.privateServer.port}`);

describe('a hostile URL', () => {
  test.each(hostileUrls)(
    '%j is neither connected to nor accepted by assertPublicUrl',
    async (url, reason) => {
      await guardedNetwork.expectRefused(insertPort(url), reason);
      expect(guardedNetwork.network.connectionAttempts).toEqual([]);
      const checked = guardedNetwork.guard().assertPublicUrl(insertPort(url));
      await expect(checked).rejects.toBeInstanceOf(UrlRefused);
      await expect(checked).rejects.toMatchObject({ reason });
    },
  );

  test.each(redirectTargets)('%j is not followed as a redirect', async (url, reason) => {
    for (const status of [301, 302, 303, 307, 308]) {
      guardedNetwork.publicServer.handler = reply(status, 'moved', { location: insertPort(url) });
      await guardedNetwork.expectRefused(PUBLIC_IMAGE_URL, reason);
    }
    expect(guardedNetwork.publicServer.requests).toHaveLength(5);
  });

  test('is refused after an allowed redirect', async () => {
    guardedNetwork.publicServer.handler = (response, { path }) => {
      const location =
        path === '/a.png' ? '//pictures.example/b' : `//127.0.0.1:${guardedNetwork.privateServer.port}/`;
      response.writeHead(302, { location }).end();
    };
    await guardedNetwork.expectRefused(PUBLIC_IMAGE_URL, NOT_PUBLIC_REASON);
    expect(guardedNetwork.publicServer.requests.map(({ path }) => path)).toEqual(['/a.png', '/b']);
  });

  test('is not requested after three redirects, and neither is any other', async () => {
    guardedNetwork.publicServer.handler = reply(302, '', { location: PUBLIC_IMAGE_URL });
    await expect(expectRequestFailed(guardedNetwork.download(PUBLIC_IMAGE_URL))).resolves.toMatchObject({
      reason: 'it was redirected more than 3 times',
    });
    expect(guardedNetwork.publicServer.requests).toHaveLength(4);
  });

  test('gets no posted JSON either, on a shared connection or a new one', async () => {
    const client = guardedNetwork.client(guardedNetwork.guard());
    for (const freshConnection of [true, false]) {
      const post = client.postJson(
        guardedNetwork.privateServer.url,
        {},
        { timeoutMs: 10_000, freshConnection },
      );
      await expect(expectRequestFailed(post)).resolves.toMatchObject({
        sent: 'no',
        reason: NOT_PUBLIC_REASON,
      });
    }
    await guardedNetwork.expectNothingArrived();
  });

  test('is refused without revealing what its name resolves to', async () => {
    const failure = await guardedNetwork.expectRefused(
      'http://private.example/secret?secret',
      NOT_PUBLIC_REASON,
    );
    expect(`${failure.message} ${String(failure.cause)}`).not.toMatch(/private\.example|10\.20|secret/);
  });
});

describe('DNS rebinding', () => {
  test('cannot change a connection, because DNS is queried once and the checked address is used', async () => {
    await expect(guardedNetwork.download(PUBLIC_IMAGE_URL, changingDns('93.184.216.34'))).resolves.toBe(
      'image',
    );
    expect(guardedNetwork.network.connectionAttempts).toEqual(['93.184.216.34 80']);
  });

  test('has no effect between assertPublicUrl and the connection', async () => {
    const dns = changingDns('93.184.216.34');
    await expect(guardedNetwork.guard(dns).assertPublicUrl(PUBLIC_IMAGE_URL)).resolves.toBeUndefined();
    await guardedNetwork.expectRefused(PUBLIC_IMAGE_URL, NOT_PUBLIC_REASON, dns);
    expect(guardedNetwork.network.connectionAttempts).toEqual([]);
  });

  test('has no effect between two redirects', async () => {
    guardedNetwork.publicServer.handler = reply(302, '', { location: 'http://pictures.example:8080/' });
    await guardedNetwork.expectRefused(PUBLIC_IMAGE_URL, NOT_PUBLIC_REASON, changingDns('93.184.216.34'));
    expect(guardedNetwork.network.connectionAttempts).toEqual(['93.184.216.34 80']);
  });
});

describe('a public address', () => {
  test.each([
    ['a name', PUBLIC_IMAGE_URL, '93.184.216.34 2606:2800:220:1::1 80'],
    ['an absolute name', 'http://PICTURES.example./', '93.184.216.34 2606:2800:220:1::1 80'],
    ['a name at another port', 'http://pictures.example:6379/', '93.184.216.34 2606:2800:220:1::1 6379'],
    ['a name that resolves differently with a trailing dot', 'http://intranet./', '93.184.216.34 80'],
    ['IPv4', 'http://93.184.216.34:8080/', '93.184.216.34 8080'],
    ['IPv6', 'http://[2606:2800:220:1::1]:443/', '2606:2800:220:1::1 443'],
  ])('is connected to: %s', async (_what, url, connectionAttempt) => {
    ['pictures.example.', 'intranet.'].forEach((host) =>
      guardedNetwork.network.route(host, guardedNetwork.publicServer),
    );
    await expect(guardedNetwork.guard().assertPublicUrl(url)).resolves.toBeUndefined();
    await expect(guardedNetwork.download(url)).resolves.toBe('image');
    expect(guardedNetwork.network.connectionAttempts).toEqual([connectionAttempt]);
  });

  test('is connected to, and a private one is not, when Node tries only one address of a name', async () => {
    const before = getDefaultAutoSelectFamily();
    setDefaultAutoSelectFamily(false);
    try {
      await expect(guardedNetwork.download(PUBLIC_IMAGE_URL)).resolves.toBe('image');
      await guardedNetwork.expectRefused('http://mixed.example/', NOT_PUBLIC_REASON);
    } finally {
      setDefaultAutoSelectFamily(before);
    }
    expect(guardedNetwork.network.connectionAttempts).toEqual(['93.184.216.34 80']);
  });

  test.each([
    ['reports that the name does not exist', undefined],
    ['returns no address', { resolveHost: async () => Promise.resolve([]) }],
  ])('fails when DNS %s, but passes assertPublicUrl', async (_what, dns) => {
    const failure = await expectRequestFailed(guardedNetwork.download('http://unknown.example/', dns));
    expect(failure).toMatchObject({ sent: 'no', reason: 'the host name does not exist' });
    await expect(
      guardedNetwork.guard(dns).assertPublicUrl('http://unknown.example/'),
    ).resolves.toBeUndefined();
  });

  test('passes assertPublicUrl when DNS takes too long', async () => {
    const guard = guardedNetwork.guard({
      resolveHost: () => new Promise(() => undefined),
      lookupTimeoutMs: 10,
    });
    await expect(guard.assertPublicUrl(PUBLIC_IMAGE_URL)).resolves.toBeUndefined();
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
])('isPrivateUrl says without a DNS query that %s is private: %s', (url, expected) => {
  expect(isPrivateUrl(url)).toBe(expected);
});
