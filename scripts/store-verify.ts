/**
 * `npm run store:verify [-- --repair]`: reads every stored image and lists what is missing, corrupt or orphaned. Exits with
 * code 1 when faults remain. With DATABASE_URL it is safe to run while the service is running.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { readConfig } from '../src/config/config.js';
import { BlobRepository } from '../src/db/images/blob-repository.js';
import { Database } from '../src/db/postgres/database.js';
import { EmbeddedPostgres } from '../src/db/embedded/embedded-postgres.js';
import { ImageRepository } from '../src/db/images/image-repository.js';
import { openStore } from '../src/storage/open-store.js';
import { SsrfGuard } from '../src/net/ssrf-guard.js';
import { HttpClient } from '../src/net/http-client.js';
import { OutgoingProxy } from '../src/net/outgoing-proxy.js';
import { StoreCheck } from '../src/services/images/store-check.js';

const log = pino({ level: 'warn' });
/** What is open, in the order of opening. */
const closings: (() => Promise<void> | undefined)[] = [];
try {
  const { values } = parseArgs({ options: { repair: { type: 'boolean', default: false } } });
  const config = readConfig(process.env);
  const embedded = config.databaseUrl ? null : await EmbeddedPostgres.start({ dataDir: config.dataDir, log });
  closings.push(() => embedded?.stop());
  const db = new Database({ url: config.databaseUrl ?? embedded?.url ?? '', maxConnections: 2, log });
  closings.push(() => db.close());
  const proxy = new OutgoingProxy(config.proxy);
  closings.push(() => proxy.destroy());
  const http = new HttpClient({
    guard: new SsrfGuard({ allowPrivateHosts: config.images.allowPrivateHosts }),
    proxy,
  });
  closings.push(() => http.destroy());
  const store = await openStore(config.dataDir, config.images.s3);
  closings.push(() => void store.destroy?.());
  const check = new StoreCheck({
    images: new ImageRepository(db),
    blobs: new BlobRepository(db),
    store,
    http,
    maxBytes: config.images.maxBytes,
  });
  const { images, blobs, findings } = await check.run({ repair: values.repair });
  for (const { fault, key, imageIds, repaired } of findings) {
    console.log([fault.padEnd(8), key, repaired ? 'repaired' : '', ...imageIds].join('  '));
  }
  const remaining = findings.filter(({ repaired }) => !repaired).length;
  const location = config.images.s3
    ? `the bucket ${config.images.s3.bucket}`
    : join(config.dataDir, 'images');
  console.log(
    `Checked ${images} images with ${blobs} blobs in ${location}: ${findings.length} faults, ${remaining} remaining.`,
  );
  if (remaining > 0)
    console.log(
      values.repair
        ? 'No file of a remaining fault was removed. docs/OPERATIONS.md says how to restore it: "Images are missing or damaged".'
        : 'To repair what can be downloaded again, and to remove orphans: npm run store:verify -- --repair',
    );
  process.exitCode = remaining > 0 ? 1 : 0;
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  for (const close of closings.reverse()) await close();
}
