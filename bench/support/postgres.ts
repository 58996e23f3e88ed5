import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { EmbeddedPostgres } from '../../src/db/embedded/embedded-postgres.js';
import { type RegisterRelease } from './releases.js';

/** A temporary folder and databases on one durable server. Removed at the end. */
export interface Scratch {
  /** The path of a new folder inside the scratch folder. */
  folder(name: string): string;
  /** Creates an empty database and returns its URL. */
  database(name: string): Promise<string>;
}

/**
 * Creates a scratch with a durable PostgreSQL, as in production: the embedded one in a temporary folder, or the server of
 * DATABASE_URL, whose user must be allowed to create databases.
 */
export async function createScratch(release: RegisterRelease): Promise<Scratch> {
  const root = await mkdtemp(join(tmpdir(), 'darkroom-bench-'));
  release(() => rm(root, { recursive: true, force: true }));
  const adminUrl = process.env['DATABASE_URL'] || (await startEmbedded(join(root, 'postgres'), release));
  return {
    folder: (name) => join(root, name),
    database: async (purpose) => {
      const name = `bench_${purpose}_${process.pid}`;
      await runSql(adminUrl, `create database ${name}`);
      release(() => runSql(adminUrl, `drop database if exists ${name} with (force)`));
      return withDatabaseName(adminUrl, name);
    },
  };
}

/** Runs statements on a new connection. */
export async function runSql(url: string, ...statements: string[]): Promise<void> {
  await withClient(url, async (client) => {
    for (const statement of statements) await client.query(statement);
  });
}

/** Opens a connection for the duration of `work`. */
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

/** Opens a connection for the duration of the benchmark. */
export async function openClient(url: string, release: RegisterRelease): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  release(() => client.end());
  return client;
}

async function startEmbedded(dataDir: string, release: RegisterRelease): Promise<string> {
  const log = pino({ level: 'warn' }, pino.destination(process.stderr.fd));
  const embedded = await EmbeddedPostgres.start({ dataDir, log });
  release(() => embedded.stop());
  return embedded.url;
}

function withDatabaseName(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}
