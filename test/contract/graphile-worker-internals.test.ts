import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test } from '@jest/globals';
import { type RunnerOptions } from 'graphile-worker';
import { DatabaseUnavailable } from '../../src/core/errors.js';
import { createQueuePool } from '../../src/queue/queue-pool.js';

/** The internals of graphile-worker that src/queue relies on. test/queue/worker.test.ts tests what it does with them. */

const EXPECTED_VERSION = '0.17.3';
/** A retry that comes earlier delays no job by more than a poll does. */
const SLOW_RETRY_MS = 250;

type Pool = NonNullable<RunnerOptions['pgPool']>;
const require = createRequire(import.meta.url);
const { RETRYABLE_ERROR_CODES } = require('graphile-worker/dist/lib.js') as {
  RETRYABLE_ERROR_CODES: Record<string, { minDelay: number }>;
};
const slowCodes = Object.keys(RETRYABLE_ERROR_CODES).filter(
  (code) => (RETRYABLE_ERROR_CODES[code]?.minDelay ?? 0) > SLOW_RETRY_MS,
);

test('the installed graphile-worker is the version that src/queue was written for', () => {
  const manifest = require.resolve('graphile-worker/package.json');
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  if (version !== EXPECTED_VERSION)
    throw new Error(
      `graphile-worker ${EXPECTED_VERSION} is what src/queue was written for, and ${version} is installed. Read poller.ts, ` +
        'queue-pool.ts and run-queue.ts, check that dist/worker.js, dist/main.js and dist/lib.js of the new version still do ' +
        'what they rely on, then change the version here and in the comments of src/queue.',
    );
});

test('graphile-worker retries after some errors slowly', () => {
  expect(slowCodes).not.toEqual([]);
});

const failure = (code: string) => Object.assign(new Error(`failed with ${code}`), { code });

test.each(slowCodes)(
  'the pool of the queue hides %s, and keeps the original error as the cause',
  async (code) => {
    const error = failure(code);
    const refusing = { connect: () => Promise.reject(error) } as unknown as Pool;
    const refused: unknown = await createQueuePool(refusing)
      .connect()
      .catch((reason: unknown) => reason);
    expect(refused).toBeInstanceOf(DatabaseUnavailable);
    expect(refused).toHaveProperty('cause', error);
    const failing = {
      connect: () => Promise.resolve({ query: () => Promise.reject(error) }),
    } as unknown as Pool;
    const client = await createQueuePool(failing).connect();
    const failed: unknown = await client.query('SELECT 1').catch((reason: unknown) => reason);
    expect(failed).toBeInstanceOf(DatabaseUnavailable);
    expect(failed).toHaveProperty('cause', error);
  },
);

test('the pool of the queue leaves other errors, results and callbacks as they are', async () => {
  const error = failure('40P01');
  const results = [Promise.resolve({ rows: [1] }), Promise.reject(error)];
  const client = { query: () => results.shift(), release: () => 'released' };
  const pool = {
    listeners: () => ['a listener'],
    connect: (callback?: (error: undefined, client: object) => void) =>
      callback ? callback(undefined, client) : Promise.resolve(client),
  } as unknown as Pool;
  const queuePool = createQueuePool(pool);
  expect(queuePool.listeners('error')).toEqual(['a listener']);
  const connected = await queuePool.connect();
  expect(await connected.query('SELECT 1')).toEqual({ rows: [1] });
  await expect(connected.query('SELECT 1')).rejects.toBe(error);
  expect(connected.release()).toBe('released');
  const given: unknown = await new Promise((resolve) => queuePool.connect((_error, found) => resolve(found)));
  expect(given).toBe(client);
});
