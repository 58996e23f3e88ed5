import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { OutageFixture } from '../../support/app/outage-fixture.js';
import { HungFile } from '../../support/storage/hung-file.js';
import { waitFor } from '../../support/wait-for.js';

let outage: OutageFixture;
let directory: string;
const hungFiles: HungFile[] = [];
beforeEach(async () => {
  outage = await OutageFixture.open();
  directory = join(outage.dataDir, 'spool', 'callbacks');
  await mkdir(directory, { recursive: true });
});
afterEach(async () => {
  for (const file of hungFiles.splice(0)) file.release();
  await outage.close();
});

function hang(name: string): void {
  hungFiles.push(HungFile.create(join(directory, `${name}.json`)));
}

test('a file that the disk does not deliver delays neither the start nor what waits behind it', async () => {
  hang('0-hung');
  const app = await outage.start();
  const { id, path } = await outage.createUnconfirmedTask(app, 'behind');
  await outage.proxy.cut();
  expect((await app.postBody(path, outage.upstream.successCallback())).status).toBe(200);
  await app.stop();
  await outage.proxy.restore();
  const next = await outage.start(app);
  await expect(next.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
}, 90_000);

test('a callback during an outage is applied when PostgreSQL returns, if the disk does not answer', async () => {
  const app = await outage.start();
  const { id, path } = await outage.createUnconfirmedTask(app, 'no answer');
  hang('0-hung');
  hang('1-hung');
  // Both files are read at the start, which is all that a spool asks of a disk that does not answer.
  const other = await outage.start(app);
  await outage.proxy.cut();
  const received = other.postBody(path, outage.upstream.successCallback());
  await waitFor('the callback', () => other.logLines.some((line) => line.includes('retrying a write')));
  await outage.proxy.restore();
  expect((await received).status).toBe(200);
  await expect(other.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
  expect(await outage.spooledFiles('callbacks')).toEqual(['0-hung.json', '1-hung.json']);
}, 90_000);
