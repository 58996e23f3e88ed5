import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ConstantBackoff, handleWhen, type IPolicy, retry } from 'cockatiel';
import { Logger as QueueLogger, runMigrations as installQueue } from 'graphile-worker';
import { type Client, DatabaseError, Pool } from 'pg';
import type { Logger } from 'pino';
import { connectionError } from './database-errors.js';
import { DatabaseClient } from './pool.js';
import { applyRowSecurity } from './row-level-security.js';
import { bind, statement } from './statement.js';

interface MigrateOptions {
  databaseUrl: string;
  /** Contains folders `<YYYYMMDDHHMMSS>_<name>`, each with a migration.sql. They are applied in the order of their names. */
  migrationsDir: string;
  log: Logger;
}

/** Key of the advisory lock that `prisma migrate` takes too, so that the two wait for each other. */
const MIGRATION_LOCK_KEY = 72707369;
const CONNECT_TIMEOUT_MS = 10_000;
/**
 * While a migration waits for the lock of a table, every later statement on the table waits behind it. So it gives up soon, lets
 * them pass, and tries again for about four minutes.
 */
const LOCK_TIMEOUT_MS = 3_000;
const LOCK_RETRY_DELAY_MS = 1_000;
const LOCK_RETRIES = 60;
const LOCK_NOT_AVAILABLE = '55P03';
/** Another instance migrates. A statement that waits has a snapshot, and building an index would wait for it. */
const LOCK_POLL_MS = 200;
/** A migration that consists of one statement that builds an index concurrently: the name of the index, and its table. */
const CONCURRENT_INDEX =
  /^create (?:unique )?index concurrently (\w+) on (?:only )?((?:\w+\.)?\w+)(?:[^\w;][^;]*)?;?$/i;

/**
 * Brings a database up to date: first graphile-worker's schema, which our SQL calls, then our migrations, then row-level
 * security. Returns the names of the migrations that it applied, usually none. Instances that start together wait for one
 * another. A migration and its record are one commit, so a migration that fails, or a process that is killed in the middle,
 * leaves nothing of it behind, and the next start applies it again. The migrations before it stay. A migration must not
 * COMMIT, and must not contain statements that PostgreSQL rejects in a transaction. The exception is a migration that consists
 * of one CREATE INDEX CONCURRENTLY: see `buildIndex`. An error names the migration, the line and the reason.
 *
 * The record is Prisma's table `_prisma_migrations`, so `prisma migrate deploy` and `status` agree with it. Prisma's own
 * engine is not used, for two reasons. With a driver adapter it splits scripts at every semicolon, which breaks functions.
 * And it records a migration in a later commit than it applies it, so that a kill in between stops every later start.
 */
export async function migrate({ databaseUrl, migrationsDir, log }: MigrateOptions): Promise<string[]> {
  const migrations = await readMigrations(migrationsDir);
  const client = new DatabaseClient({
    connectionString: databaseUrl,
    application_name: 'darkroom migrate',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  try {
    await client.connect().catch((cause: unknown) => {
      throw connectionError(databaseUrl, cause);
    });
    await requireUsableDatabase(client);
    await waitForMigrationLock(client);
    await migrateQueue(databaseUrl, log);
    const pending = await findPending(client, migrations, log);
    await client.query(`set lock_timeout = ${LOCK_TIMEOUT_MS}`);
    const lockRetry = createLockRetry(log);
    for (const migration of pending) {
      const index = concurrentIndexOf(migration);
      if (index !== null) await buildIndex(client, migration, index);
      else await lockRetry.execute(() => applyMigration(client, migration));
      log.info({ migration: migration.name }, 'migration applied');
    }
    await lockRetry.execute(() => applyRowSecurity(client));
    return pending.map(({ name }) => name);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function migrateQueue(databaseUrl: string, log: Logger): Promise<void> {
  const pool = new Pool({
    Client: DatabaseClient,
    connectionString: databaseUrl,
    application_name: 'darkroom migrate',
    max: 1,
  });
  const ignoreError = () => undefined; // the running query rejects
  pool.on('error', ignoreError).on('connect', (client) => client.on('error', ignoreError));
  await installQueue({ pgPool: pool, logger: migrationLogger(log) }).finally(() => pool.end());
}

async function waitForMigrationLock(client: Client): Promise<void> {
  const tryLock = `select pg_try_advisory_lock(${MIGRATION_LOCK_KEY}) as locked`;
  for (;;) {
    const { rows } = await client.query<{ locked: boolean }>(tryLock);
    if (rows[0]?.locked) return;
    await delay(LOCK_POLL_MS);
  }
}

function createLockRetry(log: Logger): IPolicy {
  const policy = retry(
    handleWhen((error) => codeOf(error) === LOCK_NOT_AVAILABLE || codeOf(error.cause) === LOCK_NOT_AVAILABLE),
    { maxAttempts: LOCK_RETRIES, backoff: new ConstantBackoff(LOCK_RETRY_DELAY_MS) },
  );
  policy.onRetry(() => log.warn('another session locks a table that a migration changes; trying again'));
  return policy;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof DatabaseError ? error.code : undefined;
}

interface Migration {
  name: string;
  sql: string;
  /** SHA-256, as Prisma computes it. */
  checksum: string;
}

async function readMigrations(dir: string): Promise<Migration[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(
    names.sort().map(async (name) => {
      const sql = await readFile(join(dir, name, 'migration.sql'), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

async function findPending(client: Client, migrations: Migration[], log: Logger): Promise<Migration[]> {
  const { rows: tables } = await client.query<{ found: boolean }>(
    `select to_regclass('_prisma_migrations') is not null as found`,
  );
  if (!tables[0]?.found) {
    await client.query(MIGRATIONS_TABLE);
    return migrations;
  }
  const { rows } = await client.query<{ name: string; checksum: string; finished: boolean }>(
    `select migration_name as name, checksum, finished_at is not null as finished
       from _prisma_migrations where rolled_back_at is null order by migration_name`,
  );
  const unfinished = rows.find((row) => !row.finished);
  if (unfinished) {
    throw new Error(
      `Another tool started the migration ${unfinished.name} and did not finish it. Check what it left in the database, ` +
        `then run "npx prisma migrate resolve" with --applied or --rolled-back ${unfinished.name}.`,
    );
  }
  const applied = new Map(rows.map((row) => [row.name, row.checksum]));
  for (const { name, checksum } of migrations) {
    if ((applied.get(name) ?? checksum) !== checksum) {
      log.warn(
        { migration: name },
        'this migration was changed after it had been applied to this database; the change has no effect',
      );
    }
  }
  const unknown = [...applied.keys()].filter(
    (name) => !migrations.some((migration) => migration.name === name),
  );
  const isOurs = migrations[0] === undefined || applied.has(migrations[0].name);
  if (unknown.length > 0 && !isOurs) {
    throw new Error(
      `Another program, or a development version of Darkroom from before its first release, created the tables of this ` +
        `database: its first migration is ${unknown[0]}. Set DATABASE_URL or DATA_DIR to an empty database.`,
    );
  }
  if (unknown.length > 0) log.warn({ unknown }, 'a newer Darkroom has migrated this database');
  return migrations.filter(({ name }) => !applied.has(name));
}

const RECORD_MIGRATION = statement<{ id: string; checksum: string; name: string }>(
  'record-migration',
  `
  insert into _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
  values (:id, :checksum, :name, now(), clock_timestamp(), 1)`,
);

async function applyMigration(client: Client, { name, sql, checksum }: Migration): Promise<void> {
  await client.query('begin');
  try {
    await client.query(sql);
    await client.query(bind(RECORD_MIGRATION, { id: randomUUID(), checksum, name }));
    await client.query('commit');
  } catch (cause) {
    await client.query('rollback').catch(() => undefined);
    throw new Error(
      `The migration ${name} failed${errorLocation(sql, cause)}: ${(cause as Error).message}. None of it was applied. Correct the cause, then start Darkroom again.`,
      { cause },
    );
  }
}

interface ConcurrentIndex {
  name: string;
  /** With its schema, if the statement names one. */
  table: string;
}

function concurrentIndexOf({ sql }: Migration): ConcurrentIndex | null {
  const statement = sql
    .replace(/--[^\n]*/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  const [, name, table] = CONCURRENT_INDEX.exec(statement) ?? [];
  return name !== undefined && table !== undefined ? { name, table } : null;
}

const FIND_INDEX = `
  select i.indisvalid as valid, format('%I.%I', n.nspname, c.relname) as index
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
   where i.indrelid = to_regclass($2) and c.relname = $1`;

/**
 * Builds an index while others read and write its table. PostgreSQL allows it only outside a transaction, so the index and its
 * record are two commits. A build that failed, or whose process was killed, leaves an index that is invalid: it slows writers
 * down and serves no query. It is dropped and built again. An index that is valid was built before its record was lost.
 * An index is always in the schema of its table, which the search path need not contain.
 */
async function buildIndex(
  client: Client,
  { name, sql, checksum }: Migration,
  index: ConcurrentIndex,
): Promise<void> {
  try {
    // The build waits for every transaction that is open, however long. No writer waits for it meanwhile, so it need not give up.
    await client.query('set lock_timeout = 0');
    const { rows } = await client.query<{ valid: boolean; index: string }>(FIND_INDEX, [
      index.name.toLowerCase(),
      index.table,
    ]);
    if (rows[0]?.valid === false) await client.query(`drop index concurrently ${rows[0].index}`);
    if (!rows[0]?.valid) await client.query(sql);
    await client.query(`set lock_timeout = ${LOCK_TIMEOUT_MS}`);
    await client.query(bind(RECORD_MIGRATION, { id: randomUUID(), checksum, name }));
  } catch (cause) {
    throw new Error(
      `The migration ${name} failed: ${(cause as Error).message}. Correct the cause, then start Darkroom again. It drops what is left of the index ${index.name}, and builds it again.`,
      { cause },
    );
  }
}

/** Texts have every character that people write, and Darkroom's tables are in the schema public. */
async function requireUsableDatabase(client: DatabaseClient): Promise<void> {
  const { rows } = await client.query<{ database: string; login: string; encoding: string; may: boolean }>(
    `select current_database() as database, current_user as login, current_setting('server_encoding') as encoding,
            has_schema_privilege(to_regnamespace('public'), 'CREATE') is true as may`,
  );
  const { database = '', login = '', encoding = '', may = false } = rows[0] ?? {};
  if (encoding !== 'UTF8')
    throw new Error(
      `The database "${database}" has the encoding ${encoding}, which cannot store every text. Create one with UTF8 and set ` +
        `DATABASE_URL to it: CREATE DATABASE darkroom TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`,
    );
  if (!may)
    throw new Error(
      `The login "${login}" may not create tables in the schema public of the database "${database}", or there is no such ` +
        `schema. Make it the owner: ALTER DATABASE "${database}" OWNER TO "${login}"; and if it is missing, CREATE SCHEMA public.`,
    );
}

function errorLocation(sql: string, error: unknown): string {
  const position = error instanceof DatabaseError ? Number(error.position) : NaN;
  return position > 0 ? ` at line ${sql.slice(0, position - 1).split('\n').length}` : '';
}

/** Messages of graphile-worker about its own migrations are for debugging, except errors and warnings. */
function migrationLogger(log: Logger): QueueLogger {
  return new QueueLogger(() => (level, message) => {
    const isDebug = !['error', 'warning'].includes(level);
    log[isDebug ? 'debug' : 'warn'](message);
  });
}

/** The same columns that Prisma's engine creates. */
const MIGRATIONS_TABLE = `
  create table _prisma_migrations (
    id                  varchar(36) primary key not null,
    checksum            varchar(64) not null,
    finished_at         timestamptz,
    migration_name      varchar(255) not null,
    logs                text,
    rolled_back_at      timestamptz,
    started_at          timestamptz not null default now(),
    applied_steps_count integer not null default 0
  )`;
