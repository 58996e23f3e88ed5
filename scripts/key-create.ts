/**
 * `npm run key:create -- --workspace <id or name> --name <name> [--scopes <scope,…>]`: makes a key past the service, for an
 * installation whose keys are lost, and prints it, this once. A name that no workspace has makes one. With DATABASE_URL, or
 * without one on the embedded Postgres of DATA_DIR (default .data), which must not be running.
 */
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { hashApiKey, markOf, newApiKey } from '../src/core/access/api-key.js';
import { OPERATORS } from '../src/core/access/audit-entry.js';
import { SCOPES } from '../src/core/access/caller.js';
import { InputRejected } from '../src/core/errors.js';
import { isId, newId } from '../src/core/primitives/ids.js';
import { ApiKeys, keyCreatedBy } from '../src/db/access/api-key-repository.js';
import { Database } from '../src/db/postgres/database.js';
import { EmbeddedPostgres } from '../src/db/embedded/embedded-postgres.js';
import { migrate } from '../src/db/postgres/migrate.js';
import { Workspaces } from '../src/db/access/workspace-repository.js';
import { nameFaults, scopeFaults } from '../src/services/access/validate-api-key.js';
import { MIGRATIONS_DIR } from './db-scratch.js';

const USAGE = `Usage: npm run key:create -- --workspace <id or name> --name <name> [--scopes ${SCOPES.join(',')}]`;

const log = pino({ level: 'warn' });
const { DATABASE_URL, DATA_DIR } = process.env;
let embedded: EmbeddedPostgres | undefined;
let db: Database | undefined;
try {
  const { workspace, name, scopes } = readArguments();
  if (!DATABASE_URL) embedded = await EmbeddedPostgres.start({ dataDir: DATA_DIR ?? '.data', log });
  const url = DATABASE_URL ?? embedded?.url ?? '';
  await migrate({ databaseUrl: url, migrationsDir: MIGRATIONS_DIR, log });
  db = new Database({ url, maxConnections: 2, log });
  console.log(await makeKey(db, workspace, name, scopes));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  await db?.close();
  await embedded?.stop();
}

function readArguments() {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { workspace: text, name: text, scopes: text } });
  const { workspace, name, scopes = SCOPES.join(',') } = values;
  if (!workspace || !name) throw new Error(USAGE);
  const wanted = scopes.split(',').map((scope) => scope.trim());
  const faults = [...nameFaults(workspace), ...nameFaults(name), ...scopeFaults({ scopes: SCOPES }, wanted)];
  if (faults.length > 0) throw new InputRejected(faults);
  return { workspace, name, scopes: SCOPES.filter((scope) => wanted.includes(scope)) };
}

async function makeKey(
  database: Database,
  workspaceText: string,
  name: string,
  scopes: (typeof SCOPES)[number][],
): Promise<string> {
  const workspaces = new Workspaces(database);
  const secret = newApiKey();
  const [id, hash, limits, expiresAt] = [newId(), hashApiKey(secret), {}, null];
  const key = { id, name, ...markOf(secret), hash, scopes, limits, expiresAt };
  const isWorkspaceId = isId(workspaceText);
  const byId = isWorkspaceId ? await workspaces.find(workspaceText) : null;
  if (isWorkspaceId && !byId) throw new Error(`There is no workspace with the id ${workspaceText}.`);
  const found = byId ? [byId] : await workspaces.findByName(workspaceText);
  if (found.length > 1) throw new Error(`Several workspaces are called "${workspaceText}". Give the id.`);
  const workspaceId = found[0]?.id ?? newId();
  const owned = { ...key, workspaceId };
  const audit = keyCreatedBy(OPERATORS.script, owned);
  if (found[0]) await new ApiKeys(database).insert(owned, audit);
  else {
    await workspaces.insert({ id: workspaceId, name: workspaceText }, owned, [audit]);
    console.error(
      `There was no workspace called "${workspaceText}": it was made, with the id ${workspaceId}.`,
    );
  }
  return secret;
}
