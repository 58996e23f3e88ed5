import { type Client, DatabaseError } from 'pg';
import { bind, statement } from './statement.js';

/** A role that owns nothing, cannot log in, and reads the rows of one workspace only. */
export const CALLER_ROLE = 'darkroom_caller';

/** Assumes the caller's role in a workspace until the transaction ends. Returns no row. */
export const ENTER_WORKSPACE = statement<{ workspaceId: string; planCacheMode: string }>(
  'enter-workspace',
  `
  SELECT WHERE set_config('role', '${CALLER_ROLE}', true) IS NULL
            OR set_config('darkroom.workspace_id', :workspaceId, true) IS NULL
            OR set_config('plan_cache_mode', :planCacheMode, true) IS NULL`,
);

/** The tables and the view that statements of callers read. They write nothing: see docs/decisions/0014-row-level-security.md. */
const CALLER_READABLE_TABLES = [
  'tasks',
  'task_events',
  'images',
  'callbacks',
  'webhook_deliveries',
  'webhook_attempts',
  'api_keys',
  'audit_log',
  'budgets',
  'budget_counters',
  'event_log_head',
];

/** Matches no row when no workspace is set. */
const IN_CURRENT_WORKSPACE = `workspace_id = nullif(current_setting('darkroom.workspace_id', true), '')::uuid`;

/**
 * The tables with rows of workspaces that lack this policy for this role, or for their owner if the role is null. A policy is
 * recognized by its name, so a policy with another condition needs another name.
 */
const TABLES_WITHOUT_POLICY = statement<
  { policy: string; role: string | null },
  { name: string; owner: string }
>(
  'find-tables-without-policy',
  `
  SELECT quote_ident(relname) AS name, quote_ident(pg_get_userbyid(relowner)) AS owner FROM pg_class
  WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
    AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'workspace_id' AND NOT attisdropped)
    AND NOT (relrowsecurity AND relforcerowsecurity AND EXISTS (
      SELECT FROM pg_policies
      WHERE schemaname = current_schema() AND tablename = relname AND policyname = :policy
        AND coalesce(:role, pg_get_userbyid(relowner)) = ANY (roles)))
  ORDER BY 1`,
);
const TABLES_WITHOUT_GRANT = statement<{ tables: readonly string[] }, { name: string }>(
  'find-tables-without-grant',
  `
  SELECT quote_ident(relname) AS name FROM pg_class
  WHERE relkind IN ('r', 'v') AND relnamespace = current_schema()::regnamespace AND relname = ANY (:tables)
    AND NOT has_table_privilege('${CALLER_ROLE}', oid, 'SELECT')`,
);

/**
 * Ensures that callers read only rows of their own workspace, whatever a statement says. Callers get a role that owns nothing,
 * and every table with a column `workspace_id` gets policies, including the tables of later migrations. Background work spans
 * workspaces and has a policy for the owner of the tables, as whom the service logs in.
 *
 * This is not a migration, because roles belong to the server and not to the database, and the role can be created later than
 * the tables. A database restored elsewhere can also lack its policies, or have another owner, who would see no rows. Changes
 * nothing when everything is in place. Without the role, callers have no policy, and `Database.hasRowSecurity` returns false.
 */
export async function applyRowSecurity(client: Client): Promise<void> {
  const unprotected = await client.query<{ name: string; owner: string }>(
    bind(TABLES_WITHOUT_POLICY, { policy: 'owner_access', role: null }),
  );
  for (const { name, owner } of unprotected.rows) {
    await client.query(`
      ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
      DROP POLICY IF EXISTS owner_access ON ${name};
      CREATE POLICY owner_access ON ${name} TO ${owner} USING (true)`);
  }
  if (!(await ensureCallerRole(client))) return;
  const unreadable = await client.query<{ name: string }>(
    bind(TABLES_WITHOUT_POLICY, { policy: 'caller_access', role: CALLER_ROLE }),
  );
  for (const { name } of unreadable.rows) {
    await client.query(`
      DROP POLICY IF EXISTS caller_access ON ${name};
      CREATE POLICY caller_access ON ${name} FOR SELECT TO ${CALLER_ROLE} USING (${IN_CURRENT_WORKSPACE})`);
  }
  const ungranted = await client.query<{ name: string }>(
    bind(TABLES_WITHOUT_GRANT, { tables: CALLER_READABLE_TABLES }),
  );
  for (const { name } of ungranted.rows) await client.query(`GRANT SELECT ON ${name} TO ${CALLER_ROLE}`);
}

/** Creates the role and our membership in it if they are missing. Other services can do the same on this server concurrently. */
async function ensureCallerRole(client: Client): Promise<boolean> {
  const assumeRole = `SET ROLE ${CALLER_ROLE}; RESET ROLE`;
  if (await trySql(client, assumeRole)) return true;
  await trySql(client, `CREATE ROLE ${CALLER_ROLE} NOLOGIN`);
  await trySql(client, `GRANT ${CALLER_ROLE} TO CURRENT_USER`);
  return trySql(client, assumeRole);
}

async function trySql(client: Client, sql: string): Promise<boolean> {
  try {
    await client.query(sql);
    return true;
  } catch (error) {
    if (error instanceof DatabaseError) return false;
    throw error;
  }
}
