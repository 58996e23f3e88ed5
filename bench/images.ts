import { writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import sharp from 'sharp';
import { newId } from '../src/core/primitives/ids.js';
import { Addresses } from '../src/services/access/signed-links.js';
import { Signer } from '../src/core/access/signer.js';
import { type Bench, median, printOccasion, printTable, rounded } from './support/bench.js';
import { startHelper } from './support/helper.js';
import { startLoad } from './support/load.js';
import { makeScratch, openClient } from './support/postgres.js';
import { peakRssMb } from './support/process-account.js';
import { type OnRelease } from './support/releases.js';
import { inTurns, perSecondOf, ratiosOf, roundsTable } from './support/rounds.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 24;
const ROUNDS = 4;
const WARM_UP_SECONDS = 1.5;
/** Brought in one after the other and side by side, as jobs come. */
const PICTURES = 300;
const SIDE = 1_024;
/** The form that a page of pictures asks for. */
const VARIANT = { width: 512, format: 'webp' } as const;
const GOAL = 0.5;
const GOAL_PEAK_MB = 400;
const LOOK_EVERY_MS = 50;
const SECRET = 'a secret of this bench alone, 32 bytes and more';

const FLOOR = new URL('./images-floor.js', import.meta.url);
const LOAD = new URL('./images-load.js', import.meta.url);

/**
 * What do lasting pictures cost? First 300 pictures of 1024 x 1024 are brought in from a host beside the service
 * (downloaded, decoded, hashed, stored, told), with the peak of the service's memory. Then a stored picture, and a variant
 * of it that was made before, are served, against a bare Node server that streams a file of the very same bytes. Sides take
 * turns, round by round.
 */
export const images: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printOccasion('Pictures brought in, and served from disk against a bare stream of the same file');
  const scratch = await makeScratch(release);
  const databaseUrl = await scratch.database('images');
  const dataDir = scratch.folder('data');
  const environment = { SECRET_KEY: SECRET, ALLOW_PRIVATE_HOSTS: '127.0.0.1' };
  const service = await startService({ databaseUrl, dataDir, roles: 'api,worker', environment }, release);
  const database = await openClient(databaseUrl, release);
  const original = `${scratch.folder('picture')}.png`;
  await writeFile(original, await paintNoise());

  const host = await startFloor(original, release);
  const storedPerSecond = await bringIn(database, host);
  const peakMb = peakRssMb(service.pid);

  const addresses = new Addresses(new Signer(Buffer.from(SECRET)), service.url, null, false, null);
  const { rows } = await database.query<{ id: string }>('select id from images order by id limit 1');
  const imageId = rows[0]?.id ?? '';
  const own = await compare(addresses.image(imageId), host, seconds / 2, release);
  const small = addresses.image(imageId, VARIANT);
  const variantFile = `${scratch.folder('variant')}.webp`;
  await writeFile(variantFile, Buffer.from(await (await fetch(small)).arrayBuffer()));
  const variant = await compare(small, await startFloor(variantFile, release), seconds / 2, release);

  printTable(roundsTable({ ours: 'the picture', floor: 'a bare stream' }, own));
  printTable(roundsTable({ ours: `${VARIANT.width} px ${VARIANT.format}`, floor: 'a bare stream' }, variant));
  console.log(`Brought in: ${storedPerSecond} a second, with ${peakMb.toFixed(0)} MB of memory at the most.`);
  console.log(`Goals: ratios of at least ${GOAL}, and a peak below ${GOAL_PEAK_MB} MB.`);
  const ratio = rounded(median(ratiosOf(own)), 3);
  const variantRatio = rounded(median(ratiosOf(variant)), 3);
  const figures = { ours: perSecondOf(own.ours), floor: perSecondOf(own.floor), ratio, variantRatio };
  console.log(JSON.stringify({ bench: 'images', ...figures, storedPerSecond, peakMb: rounded(peakMb) }));
};

async function startFloor(file: string, release: OnRelease): Promise<string> {
  const floor = await startHelper<object, { url: string }>(FLOOR, [file], release);
  return (await floor.ask({})).url;
}

async function compare(ours: string, floor: string, seconds: number, release: OnRelease) {
  const sides = {
    ours: await startLoad(LOAD, [ours], release),
    floor: await startLoad(LOAD, [`${floor}/file`], release),
  };
  await sides.ours.run(WARM_UP_SECONDS);
  await sides.floor.run(WARM_UP_SECONDS);
  return inTurns(sides, ROUNDS, seconds / (2 * ROUNDS));
}

/** Grain, which PNG cannot compress: about 2 MB, as a photograph has. */
async function paintNoise(): Promise<Buffer> {
  const noise = { type: 'gaussian', mean: 128, sigma: 20 } as const;
  return sharp({ create: { width: SIDE, height: SIDE, channels: 3, background: 'gray', noise } })
    .png()
    .toBuffer();
}

/** Pictures a second, from the moment at which all jobs are there. */
async function bringIn(database: pg.Client, host: string): Promise<number> {
  const ids = Array.from({ length: PICTURES }, () => newId());
  await database.query(
    `with task as (
       insert into tasks (id, workspace_id, kind, status, prompt, model, requested_count, delivered_count, pending_images,
                          input_hash, finished_at, deadline_at)
       select id, (select id from workspaces), 'GENERATE', 'SUCCEEDED', 'grain', 'flux-dev', 1, 1, 1, '', now(), now()
       from unnest($1::uuid[]) as id returning id, workspace_id
     ), image as (
       insert into images (id, workspace_id, task_id, index, upstream_url)
       select id, workspace_id, id, 0, $2 || '/picture/' || row_number() over () from task returning task_id
     )
     select graphile_worker.add_job('store-images', json_build_object('taskId', task_id)) from image`,
    [ids, host],
  );
  const startedAt = Date.now();
  for (;;) {
    const { rows } = await database.query<{ left: number }>(
      'select count(*)::int as left from images where stored_at is null and lost_at is null',
    );
    if (rows[0]?.left === 0) return rounded(PICTURES / ((Date.now() - startedAt) / 1000), 1);
    await pause(LOOK_EVERY_MS);
  }
}
