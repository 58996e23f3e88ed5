import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { HttpClient } from '../../../src/net/http-client.js';
import { OutgoingProxy } from '../../../src/net/outgoing-proxy.js';
import { SsrfGuard } from '../../../src/net/ssrf-guard.js';
import { IngestFixture } from '../../support/images/ingest-fixture.js';
import { ConnectProxy } from '../../support/net/connect-proxy.js';
import { reply } from '../../support/net/test-http-server.js';

const PUBLIC_ADDRESS = '93.184.216.34';
const anyString = expect.any(String) as unknown;
const anyDate = expect.any(Date) as unknown;

let fixture: IngestFixture;
let proxy: ConnectProxy;
let http: HttpClient;
/** What DNS says about any name. */
let address = PUBLIC_ADDRESS;
const releases: (() => Promise<unknown>)[] = [];
beforeAll(async () => (fixture = await IngestFixture.open()));
beforeEach(async () => {
  fixture.answer = null;
  address = PUBLIC_ADDRESS;
  proxy = await ConnectProxy.open(fixture.source.port);
  releases.push(() => proxy.close());
  http = openClient(proxy.url);
});
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});
afterAll(() => fixture.close());

function openClient(proxyUrl: string): HttpClient {
  const outgoing = new OutgoingProxy({ http: proxyUrl, https: proxyUrl, exceptions: [] });
  const guard = new SsrfGuard({ resolveHost: () => Promise.resolve([{ address, family: 4 }]) });
  const client = new HttpClient({ guard, proxy: outgoing });
  releases.push(
    () => outgoing.destroy(),
    () => client.destroy(),
  );
  return client;
}

const URL_OF_IMAGE = 'http://pictures.example/a.png';
async function ingest(taskId: string, attempts = 1) {
  for (let attempt = 1; attempt <= attempts; attempt += 1)
    await fixture.startIngest({ http }).ingestTaskImages(taskId);
  return fixture.readImage(taskId);
}

describe('an image whose URL is refused', () => {
  test('because of what DNS says for a while is stored', async () => {
    const taskId = await fixture.insertTaskWithImage({ url: URL_OF_IMAGE });
    address = '10.0.0.5';
    expect(await ingest(taskId, 7)).toMatchObject({ sourceFailures: 7, lostAt: null });
    address = PUBLIC_ADDRESS;
    expect(await ingest(taskId)).toMatchObject({ lostAt: null, storedAt: anyDate });
  });

  test('because of what DNS says is lost after 8 attempts', async () => {
    const taskId = await fixture.insertTaskWithImage({ url: URL_OF_IMAGE });
    address = '10.0.0.5';
    const lostReason = expect.stringContaining('its host is not on the public internet') as unknown;
    expect(await ingest(taskId, 8)).toMatchObject({ lostReason });
  });

  test.each(['http://192.168.0.1/login', 'ftp://pictures.example/', 'http://pictures.example:22/'])(
    'because it is redirected to %s for a while is stored',
    async (location) => {
      const taskId = await fixture.insertTaskWithImage({ url: URL_OF_IMAGE });
      fixture.answer = reply(302, '', { location });
      expect(await ingest(taskId)).toMatchObject({ sourceFailures: 1, lostAt: null });
      fixture.answer = null;
      expect(await ingest(taskId)).toMatchObject({ lostAt: null, storedAt: anyDate });
    },
  );

  test.each(['ftp://pictures.example/', 'http://pictures.example:22/', 'http://10.0.0.5/', 'http://[::1]/'])(
    'because it is %s is lost at once',
    async (url) => {
      const taskId = await fixture.insertTaskWithImage({ url });
      expect(await ingest(taskId)).toMatchObject({ lostReason: anyString });
    },
  );
});

/** A client whose connections fail with this error. */
function openFailingClient(error: Error): HttpClient {
  const client = new HttpClient({ connect: (_options, callback) => callback(error, null) });
  releases.push(() => client.destroy());
  return client;
}
const failureOf = (code: string) => Object.assign(new Error('The connection failed.'), { code });
/** As Node.js reports a host with several addresses. Its code is that of the first. */
const failureOfAddresses = (...codes: string[]) =>
  Object.assign(new AggregateError(codes.map(failureOf)), { code: codes[0] });

describe('a failure on this side of the network', () => {
  const closedPort = 'http://127.0.0.1:1';
  const ways: [string, () => unknown][] = [
    ['a proxy that does not answer', () => (http = openClient(closedPort))],
    ...[403, 407, 502, 503].map((status): [string, () => unknown] => [
      `a proxy that answers ${status}`,
      () => (proxy.statusOf = () => status),
    ]),
    ...['ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL', 'EMFILE', 'ENFILE', 'EPERM'].map(
      (code): [string, () => unknown] => [code, () => (http = openFailingClient(failureOf(code)))],
    ),
    ['a name server that fails', () => (http = openFailingClient(failureOf('EAI_AGAIN')))],
    ['packets that are dropped', () => (http = openFailingClient(failureOf('UND_ERR_CONNECT_TIMEOUT')))],
    [
      'no route to any address',
      () => (http = openFailingClient(failureOfAddresses('ETIMEDOUT', 'ENETUNREACH'))),
    ],
    ['a client that a shutdown has closed', () => http.destroy()],
  ];

  test.each(ways)('loses no image: %s', async (_what, breakNetwork) => {
    const taskId = await fixture.insertTaskWithImage({ url: URL_OF_IMAGE });
    await breakNetwork();
    expect(await ingest(taskId, 20)).toMatchObject({ sourceFailures: 0, storeFailures: 0, lostAt: null });
    const { rows } = await fixture.db.pool.query<{ soon: boolean }>(
      "SELECT ingest_at < now() + interval '10 seconds' AS soon FROM images WHERE task_id = $1",
      [taskId],
    );
    expect(rows).toEqual([{ soon: true }]);

    proxy.statusOf = () => 200;
    http = openClient(proxy.url);
    expect(await ingest(taskId)).toMatchObject({ lostAt: null, storedAt: anyDate });
  });

  test('keeps what the source has failed before', async () => {
    const taskId = await fixture.insertTaskWithImage({ url: URL_OF_IMAGE });
    fixture.answer = reply(503, 'down');
    await ingest(taskId, 7);
    const working = http;
    http = openClient(closedPort);
    expect(await ingest(taskId)).toMatchObject({ sourceFailures: 7, lostAt: null });
    http = working;
    expect(await ingest(taskId)).toMatchObject({ lostReason: expect.stringContaining('503') as unknown });
  });

  test('settles the task after 7 days', async () => {
    const createdAt = new Date(Date.now() - 8 * 24 * 3_600_000);
    const taskId = await fixture.insertTaskWithImage({ url: URL_OF_IMAGE, createdAt });
    proxy.statusOf = () => 502;
    const lostReason = expect.stringContaining('7 days') as unknown;
    expect(await ingest(taskId)).toMatchObject({ lostReason });
  });

  test('counts once the link has expired, because the source would refuse it', async () => {
    const url = `${URL_OF_IMAGE}?Expires=1000000000&Signature=a`;
    const taskId = await fixture.insertTaskWithImage({ url });
    proxy.statusOf = () => 502;
    expect(await ingest(taskId, 7)).toMatchObject({ sourceFailures: 7, lostAt: null });
    expect(await ingest(taskId)).toMatchObject({
      lostReason: expect.stringContaining('2001-09-09') as unknown,
    });
  });
});

describe('a failure of the source', () => {
  test.each([
    ['a refused connection', failureOf('ECONNREFUSED')],
    ['a refused connection at one of its addresses', failureOfAddresses('ENETUNREACH', 'ECONNREFUSED')],
    ['a wrong certificate', failureOf('CERT_HAS_EXPIRED')],
    ['a name that does not exist', failureOf('ENOTFOUND')],
  ])('loses an image after 8 attempts: %s', async (_what, error) => {
    const taskId = await fixture.insertTaskWithImage({ url: URL_OF_IMAGE });
    http = openFailingClient(error);
    expect(await ingest(taskId, 7)).toMatchObject({ sourceFailures: 7, lostAt: null });
    expect(await ingest(taskId)).toMatchObject({ lostReason: anyString });
  });
});
