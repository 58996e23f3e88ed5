import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pino } from 'pino';
import { EmbeddedPostgres } from '../src/db/embedded/embedded-postgres.js';
import { migrate } from '../src/db/postgres/migrate.js';
import { diffSchema } from './prisma-schema-diff.js';

/** npm runs these scripts in the root of the repository. */
export const MIGRATIONS_DIR = resolve('prisma/migrations');
const SCHEMA_FILE = resolve('prisma/schema.prisma');

/**
 * Returns the SQL that changes a migrated database to match schema.prisma. Empty when they agree. Applies the migrations to a
 * temporary embedded PostgreSQL, which is removed afterwards, even after Ctrl-C.
 */
export async function diffSchemaAgainstMigrations(): Promise<string> {
  const log = pino({ level: 'warn' });
  const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-db-'));
  const postgresStarting = EmbeddedPostgres.start({ dataDir, log, durable: false });
  const cleanUp = async (): Promise<void> => {
    await postgresStarting.then((postgres) => postgres.stop()).catch(() => undefined);
    await rm(dataDir, { recursive: true, force: true });
  };
  // Not once: Ctrl-C reaches a program below npm more than once, and the second would end it halfway.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK'] as const) {
    process.on(signal, () => void cleanUp().finally(() => process.exit(1)));
  }
  try {
    const { url } = await postgresStarting;
    await migrate({ databaseUrl: url, migrationsDir: MIGRATIONS_DIR, log });
    return await diffSchema({ databaseUrl: url, schemaFile: SCHEMA_FILE });
  } finally {
    await cleanUp();
  }
}
