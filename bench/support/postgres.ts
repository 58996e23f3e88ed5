import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { EmbeddedPostgres } from '../../src/db/embedded/embedded-postgres.js';
import { type OnRelease } from './releases.js';

/** What a bench has to itself: a folder, and databases on one durable server. Removed at the end. */
export interface Scratch {
  /** A new empty folder inside the scratch folder. */
  folder(name: string): string;
  /** The URL of a new empty database. */
  database(name: string): Promise<string>;
}

/**
 * A Postgres that waits for its disk, as in production: the embedded one with its own settings, in a temporary folder;
 * or the server of DATABASE_URL, whose user must be allowed to create databases.
 */
export async function makeScratch(release: OnRelease): Promise<Scratch> {
  const root = await mkdtemp(join(tmpdir(), 'darkroom-bench-'));
  release(() => rm(root, { recursive: true, force: true }));
  const adminUrl = process.env['DATABASE_URL'] || (await startEmbedded(join(root, 'postgres'), release));
  return {
    folder: (name) => join(root, name),
    database: async (purpose) => {
      const name = `bench_${purpose}_${process.pid}`;
      await runSql(adminUrl, `create database ${name}`);
      release(() => runSql(adminUrl, `drop database if exists ${name} with (force)`));
      return withDatabase(adminUrl, name);
    },
  };
}

/** Runs statements on a connection of their own. */
export async function runSql(url: string, ...statements: string[]): Promise<void> {
  await withClient(url, async (client) => {
    for (const statement of statements) await client.query(statement);
  });
}

/** Lends a connection for the time of `work`. */
export async function withClient<Result>(
  url: string,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** A connection for as long as the bench runs. */
export async function openClient(url: string, release: OnRelease): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  release(() => client.end());
  return client;
}

async function startEmbedded(dataDir: string, release: OnRelease): Promise<string> {
  const log = pino({ level: 'warn' }, pino.destination(process.stderr.fd));
  const embedded = await EmbeddedPostgres.start({ dataDir, log });
  release(() => embedded.stop());
  return embedded.url;
}

function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}
