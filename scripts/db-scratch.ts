import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pino } from 'pino';
import { EmbeddedPostgres } from '../src/db/embedded/embedded-postgres.js';
import { migrate } from '../src/db/postgres/migrate.js';
import { diffSchema } from './migration-engine.js';

/** These scripts are run from the repository's root, by npm. */
export const MIGRATIONS_DIR = resolve('prisma/migrations');
const SCHEMA_FILE = resolve('prisma/schema.prisma');

/**
 * What schema.prisma says beyond the migrations, as SQL; empty when they agree. Applies the migrations to an embedded
 * Postgres that lives in a temporary folder for this moment, also when it is ended by Ctrl-C.
 */
export async function diffOfSchemaAndMigrations(): Promise<string> {
  const log = pino({ level: 'warn' });
  const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-db-'));
  const starting = EmbeddedPostgres.start({ dataDir, log, durable: false });
  const clean = async (): Promise<void> => {
    await starting.then((postgres) => postgres.stop()).catch(() => undefined);
    await rm(dataDir, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void clean().finally(() => process.exit(1)));
  }
  try {
    const { url } = await starting;
    await migrate({ databaseUrl: url, migrationsDir: MIGRATIONS_DIR, log });
    return await diffSchema({ databaseUrl: url, schemaFile: SCHEMA_FILE });
  } finally {
    await clean();
  }
}
