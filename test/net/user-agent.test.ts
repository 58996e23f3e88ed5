import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { HeadBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { pino } from 'pino';
import { IncomingFiles } from '../../src/storage/incoming-files.js';
import { HttpClient } from '../../src/net/http-client.js';
import { OutgoingProxy } from '../../src/net/outgoing-proxy.js';
import { SandboxHttpClient } from '../../src/sandbox/http/sandbox-http-client.js';
import { IdentityProviderKeys } from '../../src/services/access/identity-provider-keys.js';
import { createS3Client } from '../../src/storage/s3-client.js';
import { AceDataClient } from '../../src/upstreams/acedata-client.js';
import { EDIT, GENERATE } from '../support/upstreams/acedata-fixture.js';
import { ConnectProxy } from '../support/net/connect-proxy.js';
import { reply, TestHttpServer } from '../support/net/test-http-server.js';

const log = pino({ level: 'silent' });
let expected: string;
let server: TestHttpServer;
let folder: string;
const sentToProxy: (string | undefined)[] = [];
beforeAll(async () => {
  const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
  expected = `Darkroom/${version}`;
  folder = await mkdtemp(join(tmpdir(), 'darkroom-user-agent-'));
  server = await TestHttpServer.open((response, received) => {
    const document = { issuer: server.url, jwks_uri: `${server.url}/jwks`, keys: [] };
    if (received.path === '/moved') return void reply(302, '', { location: '/' })(response, received);
    reply(200, document)(response, received);
  });
});
afterEach(() => {
  server.requests.length = 0;
  sentToProxy.length = 0;
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

/** Each sends requests of every kind that its client can send. Returns the number of requests. */
const clients: Record<string, () => Promise<number>> = {
  'src/net/http-client.ts': async () => {
    const http = new HttpClient();
    await http.postJson(`${server.url}/hook`, {}, { timeoutMs: 10_000 });
    await http.postJson(`${server.url}/hook`, {}, { timeoutMs: 10_000, freshConnection: true });
    const limits = { maxBytes: 1_000, timeoutMs: 10_000, files: new IncomingFiles(folder) };
    await http.download(`${server.url}/moved`, join(folder, 'image'), limits);
    await http.destroy();
    const upstream = new AceDataClient({ baseUrl: server.url, token: 't', mode: 'callback', log });
    for (const request of [GENERATE, EDIT]) await upstream.submit(request).catch(() => undefined);
    await upstream.readTasks(['id']).catch(() => undefined);
    await upstream.destroy();
    return 7;
  },
  'src/net/outgoing-proxy.ts': async () => {
    const connectProxy = await ConnectProxy.open(server.port);
    const proxy = new OutgoingProxy({ http: connectProxy.url, https: null, exceptions: [] });
    const http = new HttpClient({ proxy });
    await http.postJson('http://upstream.example/hook', {}, { timeoutMs: 10_000 });
    await http.destroy();
    await proxy.destroy();
    await connectProxy.close();
    sentToProxy.push(...connectProxy.userAgents);
    return 2;
  },
  'src/services/access/identity-provider-keys.ts': async () => {
    await new IdentityProviderKeys({ issuer: server.url, log }).prefetch();
    return 2;
  },
  'src/storage/s3-client.ts': async () => {
    const credentials = { accessKeyId: 'a', secretAccessKey: 's' };
    const s3 = createS3Client({ endpoint: server.url, region: 'us-east-1', ...credentials });
    await s3.send(new HeadBucketCommand({ Bucket: 'b' }));
    await s3.send(new PutObjectCommand({ Bucket: 'b', Key: 'k', Body: 'text' }));
    s3.destroy();
    return 2;
  },
  'src/sandbox/http/sandbox-http-client.ts': async () => {
    const http = new SandboxHttpClient(new AbortController().signal);
    await http.fetchSource(`${server.url}/moved`);
    await http.post(server.url, {});
    await http.close();
    return 3;
  },
};

describe('the user agent with product and version', () => {
  test.each(Object.keys(clients))('is sent with every request of %s', async (file) => {
    const count = await clients[file]?.();
    const sent = [...server.requests.map(({ headers }) => headers['user-agent']), ...sentToProxy];
    expect(sent).toHaveLength(count ?? 0);
    // The S3 SDK puts its own name first.
    for (const userAgent of sent) expect(` ${userAgent}`).toContain(` ${expected}`);
  });

  test('is tested for every file that sends requests', async () => {
    const sends =
      /^import (?!type).*\b(Agent|Client|fetch|Pool|request)\b.* from '(undici|node:https?)'|(?<![.\w])fetch\(|createRemoteJWKSet\(|new (S3Client|WebSocket)\(/m;
    const files = (await readdir('src', { recursive: true })).filter((file) => file.endsWith('.ts'));
    const senders = [];
    for (const file of files) {
      if (sends.test(await readFile(join('src', file), 'utf8'))) senders.push(`src/${file}`);
    }
    expect(senders.sort()).toEqual(Object.keys(clients).sort());
  });
});
