import { afterEach, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { type CrashPoint } from '../../src/core/primitives/crash-points.js';
import { LEDGER_DRIFT } from '../../src/db/billing/ledger-check.js';
import { eventTypes } from '../support/app/test-app.js';
import { CrashingService } from '../support/crash/crashing-service.js';
import { TcpProxy } from '../support/net/tcp-proxy.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { FakeUpstream } from '../support/upstreams/fake-upstream.js';
import { waitFor } from '../support/wait-for.js';

const WAIT_OPTIONS = { timeoutMs: 90_000 };

let database: TestDatabase;
let proxy: TcpProxy;
let sql: pg.Client;
let upstream: FakeUpstream;
let service: CrashingService;
beforeEach(async () => {
  database = await createTestDatabase();
  const inFront = await TcpProxy.inFrontOf(database.url);
  proxy = inFront.proxy;
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  upstream = await FakeUpstream.open();
  service = await CrashingService.prepare({ ...upstream.environment, DATABASE_URL: inFront.url });
});
afterEach(async () => {
  await service.dispose();
  await proxy.cut();
  await sql.end();
  await database.drop();
  await upstream.close();
});

test.each<[CrashPoint, string]>([
  ['callback-spooled', 'before it responds'],
  ['spooled-applied', 'between the commit and the removal of the file'],
])(
  'A service that is killed at %s, %s, applies the callback once',
  async (point) => {
    await service.start(point);
    upstream.onSubmit = (response) => response.destroy();
    const { id } = await service.app.generate({ prompt: 'called back', count: 2 });
    await waitFor(
      'the task to be unconfirmed',
      async () => (await service.app.task(id)).status === 'UNCONFIRMED',
      WAIT_OPTIONS,
    );
    await proxy.cut();
    const path = await upstream.callbackPath('called back');
    const status = await service.app.postBody(path, upstream.successCallback(2)).then(
      (response) => response.status,
      () => 'no response',
    );
    expect(status).toBe(point === 'callback-spooled' ? 'no response' : 200);
    await proxy.restore();
    expect(await service.restart()).toBe('SIGKILL');

    await expect(service.app.waitUntilSettled(id)).resolves.toMatchObject({
      status: 'SUCCEEDED',
      deliveredCount: 2,
      lateImages: [],
    });
    const types = eventTypes(await service.app.history(id));
    expect(types.filter((type) => type !== 'IMAGE_STORED')).toEqual([
      'TASK_REQUESTED',
      'SUBMIT_UNCONFIRMED',
      'TASK_SUCCEEDED',
    ]);
    expect((await sql.query('SELECT verdict, attempt FROM callbacks')).rows).toEqual([
      { verdict: 'EARLY', attempt: 1 },
    ]);
    expect((await sql.query(LEDGER_DRIFT.text)).rows).toMatchObject([{ count: 0, examples: null }]);
  },
  240_000,
);
