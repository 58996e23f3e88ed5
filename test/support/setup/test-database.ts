import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, DatabaseError } from 'pg';
import { FOREIGN_LOCALE, isHostile } from './hostile-postgres.js';

/** Set by global-setup.ts: a superuser's URL on the server of this test run. */
export const ADMIN_URL_VARIABLE = 'DARKROOM_TEST_ADMIN_URL';
export const TEMPLATE_DATABASE = 'darkroom_template';

/** PostgreSQL fails with "object in use" while another process copies the template. A copy takes some 50 ms. */
const OBJECT_IN_USE = '55006';
const COPY_ATTEMPTS = 100;
const COPY_RETRY_MS = 50;
/** For a second; then those that are left are cut. */
const DRAIN_ATTEMPTS = 100;
const DRAIN_POLL_MS = 10;

export interface TestDatabase {
  url: string;
  /** Terminates the remaining connections and drops the database. */
  drop(): Promise<void>;
}

/**
 * Creates a database for one test file, as a copy of the migrated template. With `empty` it has no migrations either, and can
 * have other `options` of CREATE DATABASE, such as a locale.
 */
export async function createTestDatabase({
  empty = false,
  options = isHostile() ? FOREIGN_LOCALE : '',
} = {}): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  await copyTemplate(name, `${empty ? 'template0' : TEMPLATE_DATABASE} ${options}`);
  return {
    url: databaseUrl(name),
    drop: () =>
      withAdminClient(async (admin) => {
        await waitForConnectionsToClose(admin, name);
        await admin.query(`drop database if exists ${name} with (force)`);
      }),
  };
}

/** A pool says that it has ended before its connections have, and cutting one of them then is an error that nobody handles. */
async function waitForConnectionsToClose(admin: Client, name: string): Promise<void> {
  const openConnections = 'select from pg_stat_activity where datname = $1';
  for (let attempt = 1; attempt <= DRAIN_ATTEMPTS; attempt += 1) {
    if ((await admin.query(openConnections, [name])).rowCount === 0) return;
    await pause(DRAIN_POLL_MS);
  }
}

async function copyTemplate(name: string, templateAndOptions: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      // file_copy is several times faster than the default when nothing is synced to disk.
      await withAdminClient((admin) =>
        admin.query(`create database ${name} template ${templateAndOptions} strategy file_copy`),
      );
      return;
    } catch (error) {
      const busy = error instanceof DatabaseError && error.code === OBJECT_IN_USE;
      if (!busy || attempt === COPY_ATTEMPTS) throw error;
      await pause(COPY_RETRY_MS);
    }
  }
}

async function withAdminClient(callback: (admin: Client) => Promise<unknown>): Promise<void> {
  const admin = new Client({ connectionString: databaseUrl('postgres') });
  await admin.connect();
  try {
    await callback(admin);
  } finally {
    await admin.end();
  }
}

function databaseUrl(database: string): string {
  const url = new URL(process.env[ADMIN_URL_VARIABLE] ?? '');
  url.pathname = `/${database}`;
  return url.href;
}
