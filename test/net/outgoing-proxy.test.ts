import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { IncomingFiles } from '../../src/storage/incoming-files.js';
import { HttpClient } from '../../src/net/http-client.js';
import { OutgoingProxy, type OutgoingProxyOptions } from '../../src/net/outgoing-proxy.js';
import { isExempt, isNoProxyEntry } from '../../src/net/proxy-rules.js';
import { SsrfGuard } from '../../src/net/ssrf-guard.js';
import { ConnectProxy } from '../support/net/connect-proxy.js';
import { expectRequestFailed, reply, TestHttpServer } from '../support/net/test-http-server.js';

const DNS: Record<string, string[]> = {
  'pictures.example': ['2606:2800:220:1::1', '93.184.216.34'],
  'inside.example': ['10.0.0.5'],
};
const POST = { timeoutMs: 20_000 };

let server: TestHttpServer;
let proxy: ConnectProxy;
let folder: string;
const releases: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'darkroom-proxy-'));
  server = await TestHttpServer.open(reply(200, 'image'));
  proxy = await ConnectProxy.open(server.port);
});
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
  await proxy.close();
  await server.close();
  await rm(folder, { recursive: true });
});

function openProxy(options: Partial<OutgoingProxyOptions> = {}): OutgoingProxy {
  const outgoing = new OutgoingProxy({ http: proxy.url, https: proxy.url, exceptions: [], ...options });
  releases.push(() => outgoing.destroy());
  return outgoing;
}

function openGuardedClient(outgoing: OutgoingProxy, allowPrivateHosts: string[] = []): HttpClient {
  const guard = new SsrfGuard({
    allowPrivateHosts,
    resolveHost: (hostname) =>
      Promise.resolve(
        (DNS[hostname] ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      ),
  });
  const client = new HttpClient({ guard, proxy: outgoing });
  releases.push(() => client.destroy());
  return client;
}

async function download(client: HttpClient, url: string): Promise<string> {
  const path = join(folder, 'image');
  await client.download(url, path, {
    maxBytes: 1_000,
    timeoutMs: 20_000,
    files: new IncomingFiles(folder),
  });
  return readFile(path, 'utf8');
}

describe('a download through a proxy', () => {
  test('is a tunnel to the address that the guard checked, with the name of the host inside', async () => {
    expect(await download(openGuardedClient(openProxy()), 'http://pictures.example/a.png')).toBe('image');
    expect(proxy.targets).toEqual(['93.184.216.34:80']);
    expect(server.requests).toMatchObject([{ path: '/a.png', headers: { host: 'pictures.example' } }]);
  });

  test('tries the next address if the proxy has no route to the first', async () => {
    proxy.statusOf = (target) => (target.startsWith('93.') ? 503 : 200);
    expect(await download(openGuardedClient(openProxy()), 'http://pictures.example/a.png')).toBe('image');
    expect(proxy.targets).toEqual(['93.184.216.34:80', '[2606:2800:220:1::1]:80']);
  });

  test.each(['http://inside.example/', 'http://10.0.0.5/', 'https://169.254.169.254/', 'http://[::1]:8080/'])(
    'does not reach the private %s, for which the proxy is not asked',
    async (url) => {
      const failure = await expectRequestFailed(download(openGuardedClient(openProxy()), url));
      expect(failure).toMatchObject({ sent: 'no', reason: 'its host is not on the public internet' });
      expect(proxy.tunnels).toEqual([]);
    },
  );

  test('does not follow a redirect to a private address', async () => {
    server.handler = reply(302, '', { location: 'http://inside.example/' });
    const failed = download(openGuardedClient(openProxy()), 'http://pictures.example/a.png');
    expect(await expectRequestFailed(failed)).toMatchObject({
      reason: 'its host is not on the public internet',
    });
    expect(proxy.targets).toEqual(['93.184.216.34:80']);
  });

  test('asks for an allowed private host by its name', async () => {
    const client = openGuardedClient(openProxy(), ['inside.example:8080']);
    expect(await download(client, 'http://inside.example:8080/a.png')).toBe('image');
    expect(proxy.targets).toEqual(['inside.example:8080']);
  });
});

describe('a request to an upstream through a proxy', () => {
  test('is a tunnel to its name, with the credentials of the URL for the proxy only', async () => {
    const withPassword = proxy.url.replace('//', '//user:p%40ss@');
    const client = new HttpClient({ proxy: openProxy({ http: withPassword }) });
    releases.push(() => client.destroy());
    for (const freshConnection of [true, false])
      await client.postJson('http://upstream.example/flux/images', {}, { ...POST, freshConnection });
    const authorization = `Basic ${Buffer.from('user:p@ss').toString('base64')}`;
    expect(proxy.tunnels).toEqual([
      { target: 'upstream.example:80', authorization },
      { target: 'upstream.example:80', authorization },
    ]);
    expect(server.requests).toHaveLength(2);
    for (const { headers } of server.requests) expect(headers).not.toHaveProperty('proxy-authorization');
  });

  test.each([407, 403, 502])('was not sent if the proxy answers %i', async (status) => {
    proxy.statusOf = () => status;
    const client = new HttpClient({ proxy: openProxy() });
    releases.push(() => client.destroy());
    const failure = await expectRequestFailed(client.postJson('http://upstream.example/', {}, POST));
    expect(failure).toMatchObject({
      sent: 'no',
      reason: `the proxy refused the connection with status ${status}`,
    });
    expect(server.requests).toEqual([]);
  });

  test('was not sent if there is no proxy at the address', async () => {
    const client = new HttpClient({ proxy: openProxy({ http: 'http://127.0.0.1:1' }) });
    releases.push(() => client.destroy());
    const failure = await expectRequestFailed(client.postJson('http://upstream.example/', {}, POST));
    expect(failure).toMatchObject({ sent: 'no', reason: 'the proxy did not answer (ECONNREFUSED)' });
  });

  test('counts as timed out if the proxy does not answer in time', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    releases.push(async () => {
      sockets.forEach((socket) => socket.destroy());
      await new Promise((resolve) => silent.close(resolve));
    });
    const outgoing = openProxy({ http: `http://127.0.0.1:${(silent.address() as AddressInfo).port}` });
    const client = new HttpClient({ connect: outgoing.createConnector(100) });
    releases.push(() => client.destroy());
    const failure = await expectRequestFailed(client.postJson('http://upstream.example/', {}, POST));
    expect(failure).toMatchObject({ sent: 'no', hasTimedOut: true, mayBeOurs: true });
  });

  test('checks the certificate of the upstream inside the tunnel, by the name of the URL', async () => {
    const pem = readFileSync(new URL('../support/net/self-signed.pem', import.meta.url));
    const sockets = new Set<Socket>();
    const names: string[] = [];
    const tlsServer = createTlsServer({
      ...{ cert: pem, key: pem },
      SNICallback: (name, done) => {
        names.push(name);
        done(null);
      },
    });
    tlsServer.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => undefined)));
    tlsServer.on('tlsClientError', () => undefined).listen(0, '127.0.0.1');
    await once(tlsServer, 'listening');
    const tlsProxy = await ConnectProxy.open((tlsServer.address() as AddressInfo).port);
    releases.push(async () => {
      await tlsProxy.close();
      sockets.forEach((socket) => socket.destroy());
      await new Promise((resolve) => tlsServer.close(resolve));
    });
    const client = openGuardedClient(openProxy({ https: tlsProxy.url }));
    const failure = await expectRequestFailed(client.postJson('https://pictures.example/', {}, POST));
    expect(failure).toMatchObject({ sent: 'no' });
    expect(failure.reason).toContain('DEPTH_ZERO_SELF_SIGNED_CERT');
    expect(names).toEqual(['pictures.example']);
    expect(tlsProxy.targets).toEqual(['93.184.216.34:443']);
  });

  test('to this machine is direct, and so is one to an exception', async () => {
    const outgoing = openProxy({ exceptions: ['.intern.example', '10.0.0.0/8'] });
    const client = new HttpClient({ proxy: outgoing });
    releases.push(() => client.destroy());
    await client.postJson(server.url, {}, POST);
    expect(proxy.tunnels).toEqual([]);
    const isFor = (hostname: string, protocol = 'https:') => outgoing.isFor({ protocol, hostname, port: '' });
    expect(isFor('api.example')).toBe(true);
    for (const host of ['a.intern.example', '10.1.2.3', 'localhost', '127.0.0.2', '::1', 'app.localhost'])
      expect([host, isFor(host)]).toEqual([host, false]);
    expect(openProxy({ http: null }).isFor({ protocol: 'http:', hostname: 'api.example', port: '' })).toBe(
      false,
    );
  });
});

describe('an entry of NO_PROXY', () => {
  test.each<[string, string, number, boolean]>([
    ['*', 'anything.example', 443, true],
    ['example.com', 'example.com', 443, true],
    ['example.com', 'a.b.example.com', 443, true],
    ['example.com', 'notexample.com', 443, false],
    ['.example.com', 'a.example.com', 443, true],
    ['*.example.com', 'a.example.com', 443, true],
    ['EXAMPLE.com', 'example.com.', 443, true],
    ['example.com:8443', 'example.com', 8443, true],
    ['example.com:8443', 'example.com', 443, false],
    ['10.0.0.1', '10.0.0.1', 80, true],
    ['10.0.0.1', '10.0.0.11', 80, false],
    ['10.0.0.0/8', '10.200.0.1', 80, true],
    ['10.0.0.0/8', 'ten.example', 80, false],
    ['10.0.0.0/8', '11.0.0.1', 80, false],
    ['fd00::/8', '[fd00::7]', 80, true],
    ['::ffff:10.0.0.1', '10.0.0.1', 80, true],
    ['[2001:db8::1]:8080', '2001:db8::1', 8080, true],
    ['1', '10.0.0.1', 80, false],
  ])('%s for %s:%i: %s', (entry, hostname, port, exempt) => {
    expect(isNoProxyEntry(entry)).toBe(true);
    expect(isExempt({ hostname, port }, entry)).toBe(exempt);
  });

  test.each(['http://example.com', 'exa mple', 'a*b.example', '10.0.0.0/33', '*:80', ''])(
    'is not %j',
    (entry) => expect(isNoProxyEntry(entry)).toBe(false),
  );
});
