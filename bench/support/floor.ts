import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { newId } from '../../src/core/primitives/ids.js';
import { migrate } from '../../src/db/postgres/migrate.js';
import { withClient } from './postgres.js';

const MIGRATIONS = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));

/** A migrated database with a workspace, whose id is returned. */
export async function prepareFloor(databaseUrl: string): Promise<string> {
  await migrate({ databaseUrl, migrationsDir: MIGRATIONS, log: pino({ level: 'silent' }) });
  const workspaceId = newId();
  await withClient(databaseUrl, (client) =>
    client.query('insert into workspaces (id, name) values ($1, $2)', [workspaceId, 'bench']),
  );
  return workspaceId;
}
