import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import { EmbeddedPostgres } from '../../../src/db/embedded/embedded-postgres.js';
import { TestApp } from '../../support/app/test-app.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';

test('a callback that arrives while PostgreSQL is stopped is acknowledged, and completes its task after the start', async () => {
  // When a connection is lost, graphile-worker calls console.trace, which no logger can capture.
  jest.spyOn(console, 'trace').mockImplementation(() => undefined);
  const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-restart-'));
  const options = { dataDir, log: pino({ level: 'silent' }), durable: false };
  let postgres = await EmbeddedPostgres.start(options);
  const { proxy, url } = await TcpProxy.inFrontOf(postgres.url);
  const upstream = await FakeUpstream.open();
  const app = await TestApp.start({ databaseUrl: url, environment: upstream.environment });
  try {
    upstream.onSubmit = (response) => response.destroy();
    const { id } = await app.generate({ prompt: 'stopped' });
    await app.waitForEvent(id, 'SUBMIT_UNCONFIRMED');
    await postgres.stop();
    const path = await upstream.callbackPath('stopped');
    expect((await app.postBody(path, upstream.successCallback())).status).toBe(200);

    postgres = await EmbeddedPostgres.start(options);
    proxy.forwardTo(postgres.url);
    await waitFor('/readyz', async () => (await app.get('/readyz')).status === 200, { timeoutMs: 60_000 });
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    expect(await app.rows('SELECT verdict FROM callbacks')).toEqual([{ verdict: 'EARLY' }]);
  } finally {
    await app.stop();
    await proxy.cut();
    await postgres.stop();
    await upstream.close();
    await rm(dataDir, { recursive: true });
  }
}, 120_000);
