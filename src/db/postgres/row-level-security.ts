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
  'budgets',
  'budget_counters',
  'event_log_head',
];

/** Nothing, where no workspace is set. */
const OF_THE_WORKSPACE = `workspace_id = nullif(current_setting('darkroom.workspace', true), '')::uuid`;

/**
 * Sees to it that callers read the rows of their own workspace alone, whatever a statement says: by a role that owns nothing,
 * and policies on every table with a column `workspace_id`, also on those that later migrations make. Our own work, which spans
 * workspaces, has a policy too: that of the tables' owner, as whom we log in.
 *
 * Not a migration: roles belong to the server and not to the database, the role may come later than the tables, and a database
 * that was restored elsewhere may have lost its policies, or have another owner, who would see nothing. Changes nothing where
 * all is well. Where the role cannot be had, callers have no policy; `Database.holdCallers` tells.
 */
export async function secureRows(client: Client): Promise<void> {
  for (const { name, owner } of await tablesWithout(client, 'own_work', null)) {
    await client.query(`
      ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
      DROP POLICY IF EXISTS own_work ON ${name};
      CREATE POLICY own_work ON ${name} TO ${owner} USING (true)`);
  }
  if (!(await canBecomeCaller(client))) return;
  for (const { name } of await tablesWithout(client, 'callers', CALLER_ROLE)) {
    await client.query(`
      DROP POLICY IF EXISTS callers ON ${name};
      CREATE POLICY callers ON ${name} FOR SELECT TO ${CALLER_ROLE} USING (${OF_THE_WORKSPACE})`);
  }
  const { rows } = await client.query<{ name: string }>(UNREADABLE, [READ_BY_CALLERS]);
  for (const { name } of rows) await client.query(`GRANT SELECT ON ${name} TO ${CALLER_ROLE}`);
}

/**
 * Those that have rows of workspaces, and not this policy for this role; null: for their owner. A policy is known by its name: one
 * that is to say something else needs another.
 */
async function tablesWithout(client: Client, policy: string, role: string | null) {
  const { rows } = await client.query<{ name: string; owner: string }>(UNSECURED, [policy, role]);
  return rows;
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

const UNSECURED = `
  SELECT quote_ident(relname) AS name, quote_ident(pg_get_userbyid(relowner)) AS owner FROM pg_class
  WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
    AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'workspace_id' AND NOT attisdropped)
    AND NOT (relrowsecurity AND relforcerowsecurity AND EXISTS (
      SELECT FROM pg_policies
      WHERE schemaname = current_schema() AND tablename = relname AND policyname = $1
        AND coalesce($2, pg_get_userbyid(relowner)) = ANY (roles)))
  ORDER BY 1`;

const UNREADABLE = `
  SELECT quote_ident(relname) AS name FROM pg_class
  WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname = ANY ($1)
    AND NOT has_table_privilege('${CALLER_ROLE}', oid, 'SELECT')`;
