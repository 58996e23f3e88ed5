/**
 * The PostgreSQL of one test run, as a process. Prints the URL of its superuser when the template database is ready, and ends
 * and removes everything when its standard input closes. With TEST_DATABASE_URL, the URL of a superuser or of a role that may
 * create databases, it uses that server and drops the template from it at the end. With TEST_POSTGRES=hostile, the embedded
 * server has the configuration of hostile-postgres.ts.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Client } from 'pg';
import { pino } from 'pino';
import { EmbeddedPostgres } from '../../../src/db/embedded/embedded-postgres.js';
import { migrate } from '../../../src/db/postgres/migrate.js';
import { FOREIGN_LOCALE, HOSTILE_SETTINGS, isHostile } from './hostile-postgres.js';
import { TEMPLATE_DATABASE } from './test-database.js';

/** Enough for two workers, each with a pool, a queue and some listeners per test file. PostgreSQL's default of 100 is close. */
const MAX_CONNECTIONS = 200;
/**
 * CREATE and DROP DATABASE wait for every connection that has begun to authenticate, and so would all test files for the default
 * of 60 s, which is the time limit of a test, whenever one client stops in between.
 */
const AUTHENTICATION_TIMEOUT_S = 5;

process.stdout.on('error', () => undefined); // the run was ended before it began: clean up as always
const stdinClosed = once(process.stdin.resume(), 'close');
const log = pino({ level: 'warn' }, pino.destination(process.stderr.fd));
const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-test-'));
const given = process.env['TEST_DATABASE_URL'];
let embedded: EmbeddedPostgres | undefined;
try {
  if (!given)
    embedded = await EmbeddedPostgres.start({
      dataDir,
      log,
      durable: false,
      maxConnections: MAX_CONNECTIONS,
    });
  const adminUrl = withDatabase(embedded?.url ?? given ?? '', 'postgres');
  if (isHostile() && !embedded)
    throw new Error('TEST_POSTGRES=hostile changes a server. Unset TEST_DATABASE_URL.');
  if (embedded) {
    await asAdmin(adminUrl, `alter system set authentication_timeout = '${AUTHENTICATION_TIMEOUT_S}s'`);
    await asAdmin(adminUrl, 'select pg_reload_conf()');
  }
  for (const setting of isHostile() ? HOSTILE_SETTINGS : [])
    await asAdmin(adminUrl, `alter role all set ${setting}`);
  await asAdmin(adminUrl, `drop database if exists ${TEMPLATE_DATABASE} with (force)`);
  await asAdmin(
    adminUrl,
    `create database ${TEMPLATE_DATABASE} template template0 ${isHostile() ? FOREIGN_LOCALE : ''}`,
  );
  const templateUrl = withDatabase(adminUrl, TEMPLATE_DATABASE);
  await migrate({ databaseUrl: templateUrl, migrationsDir: resolve('prisma/migrations'), log });
  console.log(adminUrl);
  await stdinClosed;
  if (!embedded) await asAdmin(adminUrl, `drop database if exists ${TEMPLATE_DATABASE} with (force)`);
} finally {
  await embedded?.stop();
  await rm(dataDir, { recursive: true, force: true });
}

async function asAdmin(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}

function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}
