import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, DatabaseError } from 'pg';

/** Set by global-setup.ts: a superuser's URL on the server of this test run. */
export const ADMIN_URL_VARIABLE = 'DARKROOM_TEST_ADMIN_URL';
export const TEMPLATE_DATABASE = 'darkroom_template';

/** While somebody else copies the template, Postgres refuses with "object in use". A copy takes some 50 ms. */
const TEMPLATE_BUSY = '55006';
const ATTEMPTS = 100;
const PAUSE_MS = 50;
/** For a second; then those that are left are cut. */
const ENDING_ATTEMPTS = 100;
const ENDING_PAUSE_MS = 10;

export interface TestDatabase {
  url: string;
  /** Ends the connections that are left and removes the database. */
  drop(): Promise<void>;
}

/** A database of its own for a test file: the migrated template, copied. `empty` leaves out even the migrations. */
export async function createTestDatabase({ empty = false } = {}): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  await copyTemplate(name, empty ? 'template0' : TEMPLATE_DATABASE);
  return {
    url: urlOf(name),
    drop: () =>
      asAdmin(async (admin) => {
        await connectionsEnded(admin, name);
        await admin.query(`drop database if exists ${name} with (force)`);
      }),
  };
}

/** A pool says that it has ended before its connections have, and cutting one of them then is an error that nobody handles. */
async function connectionsEnded(admin: Client, name: string): Promise<void> {
  const left = 'select from pg_stat_activity where datname = $1';
  for (let attempt = 1; attempt <= ENDING_ATTEMPTS; attempt += 1) {
    if ((await admin.query(left, [name])).rowCount === 0) return;
    await pause(ENDING_PAUSE_MS);
  }
}

async function copyTemplate(name: string, template: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      // file_copy is several times faster than the default where nothing is synced to disk.
      await asAdmin((admin) =>
        admin.query(`create database ${name} template ${template} strategy file_copy`),
      );
      return;
    } catch (error) {
      const busy = error instanceof DatabaseError && error.code === TEMPLATE_BUSY;
      if (!busy || attempt === ATTEMPTS) throw error;
      await pause(PAUSE_MS);
    }
  }
}

async function asAdmin(work: (admin: Client) => Promise<unknown>): Promise<void> {
  const admin = new Client({ connectionString: urlOf('postgres') });
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}

function urlOf(database: string): string {
  const url = new URL(process.env[ADMIN_URL_VARIABLE] ?? '');
  url.pathname = `/${database}`;
  return url.href;
}
