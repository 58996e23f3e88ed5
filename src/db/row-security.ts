import { type Client, DatabaseError } from 'pg';
import { CALLER_ROLE } from './caller-query.js';

/** What the statements of callers read. They write nothing: see docs/decisions/0014-row-level-security.md. */
const READ_BY_CALLERS = [
  'tasks',
  'task_events',
  'images',
  'callbacks',
  'deliveries',
  'api_keys',
  'audit_log',
  'event_log_head',
];

/** Nothing, where no workspace is set. */
const OF_THE_WORKSPACE = `workspace_id = nullif(current_setting('darkroom.workspace', true), '')::uuid`;

/**
 * Sees to it that callers read the rows of their own workspace alone, whatever a statement says: by a role that owns nothing,
 * and policies on every table with a column `workspace_id`, also on those that later migrations make. Our own work, which spans
 * workspaces, has a policy too: that of the role that we log in as, whose tables they are.
 *
 * Not a migration: roles belong to the server and not to the database, the role may come later than the tables, and a database
 * that was restored elsewhere may have another owner. Does nothing where all is well, and little where the role cannot be had;
 * `Database.holdCallers` tells.
 */
export async function secureRows(client: Client): Promise<void> {
  if (!(await canBecomeCaller(client))) return;
  const { rows: unsecured } = await client.query<{ name: string }>(UNSECURED);
  for (const { name } of unsecured) await client.query(secure(name));
  const { rows: unreadable } = await client.query<{ name: string }>(UNREADABLE, [READ_BY_CALLERS]);
  for (const { name } of unreadable) await client.query(`GRANT SELECT ON ${name} TO ${CALLER_ROLE}`);
}

/** Makes the role, and us a member of it, where that is missing. Others may do the same for their databases at this moment. */
async function canBecomeCaller(client: Client): Promise<boolean> {
  const become = `SET ROLE ${CALLER_ROLE}; RESET ROLE`;
  if (await succeeds(client, become)) return true;
  await succeeds(client, `CREATE ROLE ${CALLER_ROLE} NOLOGIN`);
  await succeeds(client, `GRANT ${CALLER_ROLE} TO CURRENT_USER`);
  return succeeds(client, become);
}

async function succeeds(client: Client, sql: string): Promise<boolean> {
  try {
    await client.query(sql);
    return true;
  } catch (error) {
    if (error instanceof DatabaseError) return false;
    throw error;
  }
}

/** Sent at once, so one commit. A policy that changes needs another name, or it stays as it is where it was made before. */
const secure = (table: string) => `
  ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  DROP POLICY IF EXISTS callers ON ${table};
  DROP POLICY IF EXISTS own_work ON ${table};
  CREATE POLICY callers ON ${table} FOR SELECT TO ${CALLER_ROLE} USING (${OF_THE_WORKSPACE});
  CREATE POLICY own_work ON ${table} TO CURRENT_USER USING (true);`;

const UNSECURED = `
  SELECT quote_ident(found.relname) AS name FROM pg_class found
  WHERE found.relkind = 'r' AND found.relnamespace = current_schema()::regnamespace
    AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = found.oid AND attname = 'workspace_id' AND NOT attisdropped)
    AND NOT (
      found.relrowsecurity AND found.relforcerowsecurity
      AND EXISTS (SELECT FROM pg_policy WHERE polrelid = found.oid AND polname = 'callers')
      AND EXISTS (SELECT FROM pg_policy WHERE polrelid = found.oid AND polname = 'own_work'
                    AND current_user::regrole = ANY (polroles)))
  ORDER BY 1`;

const UNREADABLE = `
  SELECT quote_ident(relname) AS name FROM pg_class
  WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname = ANY ($1)
    AND NOT has_table_privilege('${CALLER_ROLE}', oid, 'SELECT')`;
