/**
 * `npm run key:create -- --workspace <id or name> --name <name> [--scopes <scope,…>]`: creates an API key without the service,
 * for an installation whose keys are lost, and prints it once. Creates the workspace if none has that name. Uses the database of
 * DATABASE_URL, or without one the embedded PostgreSQL of DATA_DIR (default .data), which must not be running.
 */
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { hashApiKey, apiKeyHint, generateApiKey } from '../src/core/access/api-key.js';
import { SYSTEM_ACTORS } from '../src/core/access/audit-entry.js';
import { SCOPES } from '../src/core/access/caller.js';
import { InputRejected } from '../src/core/errors.js';
import { isId, newId } from '../src/core/primitives/ids.js';
import { ApiKeyRepository, keyCreatedEntry } from '../src/db/access/api-key-repository.js';
import { Database } from '../src/db/postgres/database.js';
import { readDatabaseConfig } from '../src/config/config.js';
import { EmbeddedPostgres } from '../src/db/embedded/embedded-postgres.js';
import { migrate } from '../src/db/postgres/migrate.js';
import { WorkspaceRepository } from '../src/db/access/workspace-repository.js';
import { validateName, validateScopes } from '../src/services/access/validate-api-key.js';
import { MIGRATIONS_DIR } from './migrated-schema-diff.js';

const USAGE = `Usage: npm run key:create -- --workspace <id or name> --name <name> [--scopes ${SCOPES.join(',')}]`;

const log = pino({ level: 'warn' });
let embedded: EmbeddedPostgres | undefined;
let db: Database | undefined;
try {
  const { workspace, name, scopes } = readArguments();
  const { databaseUrl, dataDir } = readDatabaseConfig(process.env);
  if (databaseUrl === null) embedded = await EmbeddedPostgres.start({ dataDir, log });
  const url = databaseUrl ?? embedded?.url ?? '';
  await migrate({ databaseUrl: url, migrationsDir: MIGRATIONS_DIR, log });
  db = new Database({ url, maxConnections: 2, log });
  await db.readClock();
  console.log(await createKey(db, workspace, name, scopes));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  await db?.close();
  await embedded?.stop();
}

function readArguments() {
  const stringOption = { type: 'string' } as const;
  const { values } = parseArgs({
    options: { workspace: stringOption, name: stringOption, scopes: stringOption },
  });
  const { workspace, name, scopes = SCOPES.join(',') } = values;
  if (!workspace || !name) throw new Error(USAGE);
  const requestedScopes = scopes.split(',').map((scope) => scope.trim());
  const inputErrors = [
    ...validateName(workspace),
    ...validateName(name),
    ...validateScopes({ scopes: SCOPES }, requestedScopes),
  ];
  if (inputErrors.length > 0) throw new InputRejected(inputErrors);
  return { workspace, name, scopes: SCOPES.filter((scope) => requestedScopes.includes(scope)) };
}

async function createKey(
  database: Database,
  workspaceIdOrName: string,
  name: string,
  scopes: (typeof SCOPES)[number][],
): Promise<string> {
  const workspaces = new WorkspaceRepository(database);
  const secret = generateApiKey();
  const [id, hash, limits, expiresAt] = [newId(), hashApiKey(secret), {}, null];
  const key = { id, name, ...apiKeyHint(secret), hash, scopes, limits, expiresAt };
  const isWorkspaceId = isId(workspaceIdOrName);
  const workspaceById = isWorkspaceId ? await workspaces.find(workspaceIdOrName) : null;
  if (isWorkspaceId && !workspaceById)
    throw new Error(
      `No workspace has the ID ${workspaceIdOrName}. Pass the name or ID of an existing workspace.`,
    );
  const matches = workspaceById ? [workspaceById] : await workspaces.findByName(workspaceIdOrName);
  if (matches.length > 1)
    throw new Error(`Several workspaces have the name "${workspaceIdOrName}". Pass the ID instead.`);
  const workspaceId = matches[0]?.id ?? newId();
  const newKey = { ...key, workspaceId };
  const audit = keyCreatedEntry(SYSTEM_ACTORS.createKeyScript, newKey);
  if (matches[0]) await new ApiKeyRepository(database).insert(newKey, audit);
  else {
    await workspaces.insert({ id: workspaceId, name: workspaceIdOrName }, newKey, [audit]);
    console.error(
      `Created the workspace "${workspaceIdOrName}" with the ID ${workspaceId}, because none had that name.`,
    );
  }
  return secret;
}
