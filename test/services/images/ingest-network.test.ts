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
