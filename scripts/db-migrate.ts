/**
 * `npm run db:migrate`: applies pending migrations to DATABASE_URL, or without one to the embedded PostgreSQL of DATA_DIR
 * (default .data), which must not be running. The service does the same when it starts.
 */
import { pino } from 'pino';
import { readDatabaseConfig } from '../src/config/config.js';
import { EmbeddedPostgres } from '../src/db/embedded/embedded-postgres.js';
import { migrate } from '../src/db/postgres/migrate.js';
import { MIGRATIONS_DIR } from './migrated-schema-diff.js';

const log = pino({ level: 'warn' });
let embedded: EmbeddedPostgres | undefined;
try {
  const config = readDatabaseConfig(process.env);
  if (config.databaseUrl === null) embedded = await EmbeddedPostgres.start({ dataDir: config.dataDir, log });
  const databaseUrl = config.databaseUrl ?? embedded?.url ?? '';
  const applied = await migrate({ databaseUrl, migrationsDir: MIGRATIONS_DIR, log });
  console.log(applied.length > 0 ? `Applied: ${applied.join(', ')}` : 'The database is up to date.');
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  await embedded?.stop();
}
