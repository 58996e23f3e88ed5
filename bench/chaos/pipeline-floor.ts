import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { Pool } from 'pg';
import sharp from 'sharp';
import { request } from 'undici';
import { createS3Client } from '../../src/storage/s3-client.js';
import { type RegisterRelease, withOwnReleases } from '../support/releases.js';
import { longestOutageSeconds } from './faults/upstream.js';
import { IMAGE } from './load.js';
import { type ChaosPostgres } from './postgres.js';
import { SandboxProcess } from './sandbox.js';
import { BucketStore } from './store.js';
import { IMAGES_PER_TASK } from './task-plan.js';

/** What is stored at the same time. */
const CONCURRENCY = 16;
const WARM_UP_MS = 1_500;
const MEASURED_MS = 5_000;
/** After the longest outage of a run, the bare pipeline would need this long for what has piled up. */
const PIPELINE_SECONDS_AFTER_LONGEST_OUTAGE = 3;

/** The tasks per second of a run of `seconds`, on a machine whose bare pipeline stores `imagesPerSecond`. */
export function paceLoad(imagesPerSecond: number, seconds: number): number {
  const imagesAfterOutage = imagesPerSecond * PIPELINE_SECONDS_AFTER_LONGEST_OUTAGE;
  const rate = imagesAfterOutage / (longestOutageSeconds(seconds) * IMAGES_PER_TASK);
  return Math.max(0.1, Number(rate.toFixed(1)));
}

/**
 * Measures how many images per second this machine can bring from the upstream into a bucket at best: one row for each request,
 * the request, the download, the decoding, the hash, the upload, and one row for each image. Takes 7 s in one process, with an
 * upstream and a bucket of its own. The service must not run yet, because its tables are created in an empty database.
 */
export function measurePipeline(
  postgres: ChaosPostgres,
  { dir, release }: { dir: string; release: RegisterRelease },
): Promise<number> {
  return withOwnReleases(release, async (own) => {
    await mkdir(dir);
    const sandbox = await SandboxProcess.start(join(dir, 'sandbox.log'));
    own(() => sandbox.stop());
    const bucket = await BucketStore.start(join(dir, 'bucket'));
    own(() => bucket.stop());
    const s3 = createS3Client(bucket.clientOptions);
    own(() => Promise.resolve(s3.destroy()));
    const pool = new Pool({ connectionString: postgres.url, max: CONCURRENCY });
    own(() => pool.end());
    await pool.query('CREATE TABLE floor (key text)');
    own(() => pool.query('DROP TABLE floor'));

    const storeOne = async (number: number): Promise<void> => {
      const prompt = `floor ${number} [sandbox: delay=0ms]`;
      await pool.query('INSERT INTO floor VALUES ($1)', [prompt]);
      const imageUrl = await sandbox.generate({ ...IMAGE, prompt });
      const bytes = Buffer.from(await (await request(imageUrl)).body.arrayBuffer());
      await sharp(bytes).raw().toBuffer();
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      await s3.send(new PutObjectCommand({ Bucket: bucket.bucket, Key: sha256, Body: bytes }));
      await pool.query('INSERT INTO floor VALUES ($1)', [sha256]);
    };
    const from = Date.now() + WARM_UP_MS;
    const until = from + MEASURED_MS;
    let started = 0;
    let stored = 0;
    const storeUntilEnd = async (): Promise<void> => {
      while (Date.now() < until) {
        await storeOne(started++);
        if (Date.now() >= from && Date.now() < until) stored += 1;
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, storeUntilEnd));
    return stored / (MEASURED_MS / 1_000);
  });
}
