import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { OutageFixture } from '../../support/app/outage-fixture.js';
import { type TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';

const TIMEOUT_MS = 180_000;

let outage: OutageFixture;
let app: TestApp;
beforeEach(async () => {
  outage = await OutageFixture.open();
  app = await outage.start();
}, TIMEOUT_MS);
afterEach(() => outage.close());

/** Makes PostgreSQL reject the result of one task, with an error that is no outage. */
async function rejectResultOf(taskId: string): Promise<void> {
  await outage.sql.query(`
    CREATE FUNCTION reject_result() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'rejected'; END $$;
    CREATE TRIGGER reject_result BEFORE UPDATE ON tasks FOR EACH ROW
    WHEN (OLD.id = '${taskId}' AND NEW.status IN ('SUCCEEDED', 'FAILED')) EXECUTE FUNCTION reject_result()`);
}
const acceptResults = () => outage.sql.query('DROP TRIGGER reject_result ON tasks');

async function spoolHealth(of = app): Promise<unknown> {
  return ((await of.get('/readyz')).json as { spool: unknown }).spool;
}

describe('a callback that cannot be applied although PostgreSQL responds', () => {
  test(
    'is acknowledged and kept, reported, and applied when the cause is gone',
    async () => {
      const { id, path } = await outage.createUnconfirmedTask(app, 'rejected');
      await rejectResultOf(id);
      expect((await app.postBody(path, outage.upstream.successCallback(2))).status).toBe(200);
      expect(await outage.spooledFiles('callbacks')).toHaveLength(1);
      expect(await spoolHealth()).toEqual({ ok: false, waiting: 0, failed: 1 });
      expect((await app.get('/readyz')).status).toBe(200);
      expect(app.logLines.join()).toContain('a file in the spool could not be applied');

      await acceptResults();
      await expect(app.waitUntilSettled(id)).resolves.toMatchObject({
        status: 'SUCCEEDED',
        deliveredCount: 2,
      });
      await waitFor(
        'the spool to be empty',
        async () => (await outage.spooledFiles('callbacks')).length === 0,
      );
      expect(await spoolHealth()).toEqual({ ok: true, waiting: 0, failed: 0 });
      expect((await outage.sql.query('SELECT verdict FROM callbacks')).rows).toEqual([{ verdict: 'EARLY' }]);
    },
    TIMEOUT_MS,
  );

  test(
    'delays no other callback, also when it arrived during an outage, and the next process tries it again',
    async () => {
      const poison = await outage.createUnconfirmedTask(app, 'rejected');
      const other = await outage.createUnconfirmedTask(app, 'beside it');
      await rejectResultOf(poison.id);
      await outage.proxy.cut();
      for (const { path } of [poison, other])
        expect((await app.postBody(path, outage.upstream.successCallback())).status).toBe(200);
      await outage.proxy.restore();
      await expect(app.waitUntilSettled(other.id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
      await waitFor('the failure', async () => (await outage.spooledFiles('callbacks')).length === 1);

      await acceptResults();
      await app.stop();
      const next = await outage.start(app);
      await expect(next.waitUntilSettled(poison.id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
      expect(await outage.spooledFiles('callbacks')).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'gets 503 if the disk takes no file',
    async () => {
      const { id, path } = await outage.createUnconfirmedTask(app, 'rejected');
      await rejectResultOf(id);
      await writeFile(join(outage.dataDir, 'spool'), 'a file where the folder should be');
      const refused = await app.postBody(path, outage.upstream.successCallback());
      expect(refused).toMatchObject({ status: 503, json: { error: { code: 'CALLBACK_NOT_KEPT' } } });
    },
    TIMEOUT_MS,
  );
});
