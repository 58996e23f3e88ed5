import { writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import sharp from 'sharp';
import { newId } from '../src/core/primitives/ids.js';
import { SignedLinks } from '../src/services/access/signed-links.js';
import { Signer } from '../src/core/access/signer.js';
import { type Bench, median, printHeader, printTable, roundTo } from './support/bench.js';
import { startHelper } from './support/helper.js';
import { startLoad } from './support/load.js';
import { createScratch, openClient } from './support/postgres.js';
import { peakRssMb } from './support/process-account.js';
import { type RegisterRelease } from './support/releases.js';
import { runAlternately, medianPerSecond, ratiosByRound, roundsTable } from './support/rounds.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 24;
const ROUNDS = 4;
const WARM_UP_SECONDS = 1.5;
/** Ingested concurrently, as their jobs are run. */
const IMAGE_COUNT = 300;
const SIDE = 1_024;
/** A typical variant for a gallery. */
const VARIANT = { width: 512, format: 'webp' } as const;
const GOAL = 0.5;
const GOAL_PEAK_MB = 400;
const POLL_INTERVAL_MS = 50;
const SECRET = 'a secret only for this benchmark, 32 bytes and more';

const FLOOR = new URL('./images-floor.js', import.meta.url);
const LOAD = new URL('./images-load.js', import.meta.url);

/**
 * What does storing images cost? First the service ingests 300 images of 1024 x 1024 from a local host (downloads, decodes,
 * hashes, stores and announces them), and its peak memory is measured. Then it serves a stored image and a cached variant,
 * compared with a bare Node server that streams a file with the same bytes. The sides alternate round by round.
 */
export const images: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printHeader('Images ingested, and served from disk compared with a bare stream of the same file');
  const scratch = await createScratch(release);
  const databaseUrl = await scratch.database('images');
  const dataDir = scratch.folder('data');
  const environment = { SECRET_KEY: SECRET, ALLOW_PRIVATE_HOSTS: '127.0.0.1' };
  const service = await startService({ databaseUrl, dataDir, roles: 'api,worker', environment }, release);
  const database = await openClient(databaseUrl, release);
  const original = `${scratch.folder('original')}.png`;
  await writeFile(original, await createNoiseImage());

  const host = await startFloor(original, release);
  const storedPerSecond = await ingestAll(database, host);
  const peakMb = peakRssMb(service.pid);

  const signedLinks = new SignedLinks({
    signer: new Signer(Buffer.from(SECRET)),
    publicUrl: service.url,
    urlForUpstream: null,
    canUpstreamFetchImages: false,
    imageLinkSeconds: null,
  });
  const { rows } = await database.query<{ id: string }>('select id from images order by id limit 1');
  const imageId = rows[0]?.id ?? '';
  const originalResult = await compare(signedLinks.imageUrl(imageId), host, seconds / 2, release);
  const variantUrl = signedLinks.imageUrl(imageId, VARIANT);
  const variantFile = `${scratch.folder('variant')}.webp`;
  await writeFile(variantFile, Buffer.from(await (await fetch(variantUrl)).arrayBuffer()));
  const variant = await compare(variantUrl, await startFloor(variantFile, release), seconds / 2, release);

  printTable(roundsTable({ ours: 'the image', floor: 'a bare stream' }, originalResult));
  printTable(roundsTable({ ours: `${VARIANT.width} px ${VARIANT.format}`, floor: 'a bare stream' }, variant));
  console.log(`Ingested: ${storedPerSecond} per second, with a peak memory of ${peakMb.toFixed(0)} MB.`);
  console.log(`Goals: ratios of at least ${GOAL}, and a peak below ${GOAL_PEAK_MB} MB.`);
  const ratio = roundTo(median(ratiosByRound(originalResult)), 3);
  const variantRatio = roundTo(median(ratiosByRound(variant)), 3);
  const figures = {
    ours: medianPerSecond(originalResult.ours),
    floor: medianPerSecond(originalResult.floor),
    ratio,
    variantRatio,
  };
  console.log(JSON.stringify({ bench: 'images', ...figures, storedPerSecond, peakMb: roundTo(peakMb) }));
};

async function startFloor(file: string, release: RegisterRelease): Promise<string> {
  const floor = await startHelper<object, { url: string }>(FLOOR, [file], release);
  return (await floor.call({})).url;
}

async function compare(ours: string, floor: string, seconds: number, release: RegisterRelease) {
  const sides = {
    ours: await startLoad(LOAD, [ours], release),
    floor: await startLoad(LOAD, [`${floor}/file`], release),
  };
  await sides.ours.run(WARM_UP_SECONDS);
  await sides.floor.run(WARM_UP_SECONDS);
  return runAlternately(sides, ROUNDS, seconds / (2 * ROUNDS));
}

/** An image of noise, which PNG cannot compress. It has about 2 MB, like a photograph. */
async function createNoiseImage(): Promise<Buffer> {
  const noise = { type: 'gaussian', mean: 128, sigma: 20 } as const;
  return sharp({ create: { width: SIDE, height: SIDE, channels: 3, background: 'gray', noise } })
    .png()
    .toBuffer();
}

/** Queues all ingest jobs at once, and returns the images stored per second. */
async function ingestAll(database: pg.Client, host: string): Promise<number> {
  const ids = Array.from({ length: IMAGE_COUNT }, () => newId());
  await database.query(
    `with task as (
       insert into tasks (id, workspace_id, kind, status, prompt, model, requested_count, delivered_count, pending_images,
                          input_hash, finished_at, deadline_at)
       select id, (select id from workspaces), 'GENERATE', 'SUCCEEDED', 'grain', 'flux-dev', 1, 1, 1, '', now(), now()
       from unnest($1::uuid[]) as id returning id, workspace_id
     ), image as (
       insert into images (id, workspace_id, task_id, index, upstream_url)
       select id, workspace_id, id, 0, $2 || '/image/' || row_number() over () from task returning task_id
     )
     select graphile_worker.add_job('ingest-images', json_build_object('taskId', task_id)) from image`,
    [ids, host],
  );
  const startedAt = Date.now();
  for (;;) {
    const { rows } = await database.query<{ left: number }>(
      'select count(*)::int as left from images where stored_at is null and lost_at is null',
    );
    if (rows[0]?.left === 0) return roundTo(IMAGE_COUNT / ((Date.now() - startedAt) / 1000), 1);
    await pause(POLL_INTERVAL_MS);
  }
}
