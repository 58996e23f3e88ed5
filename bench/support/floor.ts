import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { newId } from '../../src/core/primitives/ids.js';
import { migrate } from '../../src/db/postgres/migrate.js';
import { withClient } from './postgres.js';

const MIGRATIONS = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));

/** Migrates a database and creates a workspace. Returns the workspace's ID. */
export async function migrateFloorDatabase(databaseUrl: string): Promise<string> {
  await migrate({ databaseUrl, migrationsDir: MIGRATIONS, log: pino({ level: 'silent' }) });
  const workspaceId = newId();
  await withClient(databaseUrl, (client) =>
    client.query('insert into workspaces (id, name) values ($1, $2)', [workspaceId, 'bench']),
  );
  return workspaceId;
}
