import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { newId } from '../../../src/core/primitives/ids.js';
import { OutageFixture } from '../../support/app/outage-fixture.js';
import { eventTypes } from '../../support/app/test-app.js';
import { type TcpProxy } from '../../support/net/tcp-proxy.js';
import { type FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';

const TIMEOUT_MS = 90_000;

let outage: OutageFixture;
let proxy: TcpProxy;
let upstream: FakeUpstream;
let dataDir: string;
let sql: pg.Client;
beforeEach(async () => {
  outage = await OutageFixture.open();
  ({ proxy, upstream, dataDir, sql } = outage);
});
afterEach(() => outage.close());

const spooledFiles = () => outage.spooledFiles('callbacks');
const isSpoolEmpty = async () => (await spooledFiles()).length === 0;

/** The callbacks in the inbox, oldest first. */
async function inbox(): Promise<{ verdict: string; attempt: number | null; received_at: Date }[]> {
  const { rows } = await sql.query<{ verdict: string; attempt: number | null; received_at: Date }>(
    'SELECT verdict, attempt, received_at FROM callbacks ORDER BY id',
  );
  return rows;
}
async function databaseTime(): Promise<Date> {
  return (await sql.query<{ now: Date }>('SELECT clock_timestamp() AS now')).rows[0]?.now ?? new Date(0);
}

describe('a callback that arrives while PostgreSQL is away', () => {
  test(
    'is acknowledged, and completes its unconfirmed task when PostgreSQL returns',
    async () => {
      const app = await outage.start();
      const { id, path } = await outage.createUnconfirmedTask(app, 'known to nobody else');
      await proxy.cut();
      const before = await databaseTime();
      const { status, json } = await app.postBody(path, upstream.successCallback(2));
      expect({ status, json }).toEqual({ status: 200, json: { received: true } });
      const after = (await databaseTime()).getTime();
      expect(await spooledFiles()).toHaveLength(1);
      await waitFor('a later time', async () => (await databaseTime()).getTime() > after + 2_000);
      await proxy.restore();
      await waitFor('the spool to be empty', isSpoolEmpty, { timeoutMs: 30_000 });
      const [callback, ...others] = await inbox();
      expect({ callback, others }).toMatchObject({
        callback: { verdict: 'EARLY', attempt: 1 },
        others: [],
      });
      // The time of its arrival, within what an instance knows of PostgreSQL's clock.
      const receivedAt = callback?.received_at.getTime() ?? 0;
      expect(receivedAt).toBeGreaterThan(before.getTime() - 500);
      expect(receivedAt).toBeLessThan(after + 500);
      await waitFor('the API', async () => (await app.get('/readyz')).status === 200, { timeoutMs: 30_000 });
      await expect(app.waitUntilSettled(id)).resolves.toMatchObject({
        status: 'SUCCEEDED',
        deliveredCount: 2,
      });
    },
    TIMEOUT_MS,
  );

  test(
    'is acknowledged within the 10 s that the upstream waits, if PostgreSQL is silent',
    async () => {
      const app = await outage.start();
      const { path } = await outage.createUnconfirmedTask(app, 'silent');
      proxy.freeze();
      const startedAt = performance.now();
      expect((await app.postBody(path, upstream.successCallback())).status).toBe(200);
      expect(performance.now() - startedAt).toBeLessThan(10_000);
      await proxy.cut();
      await proxy.restore();
      await waitFor('the spool to be empty', isSpoolEmpty, { timeoutMs: 30_000 });
      expect(await inbox()).toMatchObject([{ verdict: 'EARLY' }]);
    },
    TIMEOUT_MS,
  );

  test(
    'is applied by the next process if this one ends during the outage',
    async () => {
      const app = await outage.start();
      const { id, path } = await outage.createUnconfirmedTask(app, 'across a restart');
      await proxy.cut();
      expect((await app.postBody(path, upstream.successCallback())).status).toBe(200);
      await app.stop();
      expect(await spooledFiles()).toHaveLength(1);
      await proxy.restore();
      const next = await outage.start(app);
      await waitFor('the spool to be empty', isSpoolEmpty, { timeoutMs: 30_000 });
      await expect(next.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
      expect(eventTypes(await next.history(id))).toContain('TASK_SUCCEEDED');
    },
    TIMEOUT_MS,
  );

  test(
    'is applied after those that arrived before it, also if it arrives when PostgreSQL is back',
    async () => {
      const app = await outage.start();
      const { id, path } = await outage.createUnconfirmedTask(app, 'failed, then succeeded');
      await proxy.cut();
      expect((await app.postBody(path, upstream.failureCallback('api_error'))).status).toBe(200);
      expect((await app.postBody(path, upstream.successCallback())).status).toBe(200);
      expect((await app.postBody(path, upstream.successCallback())).status).toBe(200);
      await proxy.restore();
      expect((await app.postBody(path, upstream.failureCallback('api_error'))).status).toBe(200);
      await waitFor('the spool to be empty', isSpoolEmpty, { timeoutMs: 30_000 });
      expect((await inbox()).map(({ verdict }) => verdict)).toEqual([
        'EARLY',
        'LATE',
        'DUPLICATE',
        'DUPLICATE',
      ]);
      const { rows } = await sql.query('SELECT status, late_image_count AS late FROM tasks WHERE id = $1', [
        id,
      ]);
      expect(rows).toEqual([{ status: 'FAILED', late: 1 }]);
    },
    TIMEOUT_MS,
  );

  test(
    'is kept once by two instances that share the folder, and changes nothing twice',
    async () => {
      const app = await outage.start();
      const { id, path } = await outage.createUnconfirmedTask(app, 'two instances');
      await proxy.cut();
      expect((await app.postBody(path, upstream.successCallback(2))).status).toBe(200);
      await proxy.restore();
      // It finds the file of the first instance, which applies it as well.
      const other = await outage.start(app);
      expect((await other.postBody(path, upstream.successCallback(2))).status).toBe(200);
      await waitFor('the spool to be empty', isSpoolEmpty, { timeoutMs: 30_000 });
      await waitFor('both callbacks', async () => (await inbox()).length === 2);
      expect((await inbox()).map(({ verdict }) => verdict).sort()).toEqual(['DUPLICATE', 'EARLY']);
      const task = await other.waitUntilSettled(id);
      expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 2, lateImages: [] });
      expect(
        outage.apps.flatMap(({ logLines }) => logLines.filter((line) => line.includes('"level":50'))),
      ).not.toEqual(expect.arrayContaining([expect.stringContaining('spool')]));
    },
    TIMEOUT_MS,
  );

  test(
    'gets 401 with a wrong link, and 400 if it is not a result, which the inbox shows later',
    async () => {
      const app = await outage.start();
      const { path } = await outage.createUnconfirmedTask(app, 'malformed');
      await proxy.cut();
      expect((await app.postBody(`${path}x`, upstream.successCallback())).status).toBe(401);
      expect(await spooledFiles()).toEqual([]);
      expect((await app.postBody(path, 'this is not JSON')).status).toBe(400);
      await proxy.restore();
      await waitFor('the spool to be empty', isSpoolEmpty, { timeoutMs: 30_000 });
      expect(await inbox()).toMatchObject([{ verdict: 'MALFORMED', attempt: 1 }]);
    },
    TIMEOUT_MS,
  );

  test(
    'gets 503 if the disk takes no file',
    async () => {
      const app = await outage.start();
      const { id, path } = await outage.createUnconfirmedTask(app, 'no disk');
      await writeFile(join(dataDir, 'spool'), 'a file where the folder should be');
      await proxy.cut();
      const { status, json } = await app.postBody(path, upstream.successCallback());
      expect({ status, json }).toMatchObject({
        status: 503,
        json: { error: { code: 'DATABASE_UNAVAILABLE' } },
      });
      await proxy.restore();
      await waitFor('the API', async () => (await app.get('/readyz')).status === 200, { timeoutMs: 30_000 });
      expect((await app.postBody(path, upstream.successCallback())).status).toBe(200);
      await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
    },
    TIMEOUT_MS,
  );

  test(
    'gets 503 if as many callbacks as the disk may hold wait already',
    async () => {
      const maxFiles = 3;
      const directory = join(dataDir, 'spool', 'callbacks');
      await mkdir(directory, { recursive: true });
      for (let n = 0; n < maxFiles; n += 1) await writeFile(join(directory, `${newId()}-${n}.json`), '{');
      const app = await outage.start(undefined, { maxSpooledCallbacks: maxFiles });
      const { path } = await outage.createUnconfirmedTask(app, 'no room');
      await proxy.cut();
      expect((await app.postBody(path, upstream.successCallback())).status).toBe(503);
      expect(await spooledFiles()).toHaveLength(maxFiles);
    },
    TIMEOUT_MS,
  );
});
