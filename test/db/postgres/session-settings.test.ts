import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { databaseTimeMs } from '../../../src/core/primitives/clock.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { WorkspaceRepository } from '../../../src/db/access/workspace-repository.js';
import { UploadRepository } from '../../../src/db/images/upload-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { NotificationListener } from '../../../src/db/postgres/listener.js';
import { migrate } from '../../../src/db/postgres/migrate.js';
import { createPool, DatabaseClient } from '../../../src/db/postgres/pool.js';
import { OptionsDroppingProxy } from '../../support/net/options-dropping-proxy.js';
import { HOSTILE_SETTINGS } from '../../support/setup/hostile-postgres.js';
import { createTestDatabase } from '../../support/setup/test-database.js';

const RELIED_ON = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, MDY',
  client_encoding: 'UTF8',
  standard_conforming_strings: 'on',
  search_path: 'public',
  transaction_isolation: 'read committed',
  row_security: 'on',
  bytea_output: 'hex',
  extra_float_digits: '1',
  transform_null_equals: 'off',
};
const ALL_SETTINGS = `json_build_object(${Object.keys(RELIED_ON)
  .map((name) => `'${name}', current_setting('${name}')`)
  .join(', ')})`;
/** What each session begins with is a row, whoever opens it. The first schema also has a table with the name of one of ours. */
const RECORD_SESSIONS = `
  CREATE SCHEMA decoy;
  CREATE TABLE decoy.tasks (id text);
  CREATE TABLE decoy.sessions (name text, settings json);
  CREATE FUNCTION decoy.record() RETURNS event_trigger LANGUAGE plpgsql AS $$
  BEGIN
    INSERT INTO decoy.sessions VALUES (current_setting('application_name'), ${ALL_SETTINGS});
  END $$;
  CREATE EVENT TRIGGER record ON login EXECUTE FUNCTION decoy.record()`;
const AUDIT_ENTRY = {
  action: 'WEBHOOK_SECRET_ROTATED' as const,
  ...{ actor: 'test', keyId: null, endUserId: null, clientAddress: null, targetId: null, data: {} },
};
const HOUR_MS = 3_600_000;
const log = pino({ level: 'silent' });

const releases: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

/** A database without our tables, with defaults for its sessions. Its URL names the sessions of the test itself. */
async function createDatabaseWith(settings: readonly string[]): Promise<string> {
  const database = await createTestDatabase({ empty: true });
  releases.push(() => database.drop());
  const name = new URL(database.url).pathname.slice(1);
  const admin = await connect(database.url);
  await admin.query(RECORD_SESSIONS);
  for (const setting of settings) await admin.query(`ALTER DATABASE ${name} SET ${setting}`);
  await admin.end();
  return database.url;
}

async function connect(connectionString: string, application_name = 'the test'): Promise<pg.Client> {
  const client = new pg.Client({ connectionString, application_name });
  await client.connect();
  return client;
}

const HOSTILE = [...HOSTILE_SETTINGS, "search_path = 'decoy', 'nowhere'"];

test('every connection begins with what Darkroom relies on, whatever the defaults of the database', async () => {
  const url = await createDatabaseWith(HOSTILE);
  await migrate({ databaseUrl: url, migrationsDir: resolve('prisma/migrations'), log });
  // One connection after the other, because the trigger makes each of them slow.
  const db = new Database({ url, maxConnections: 1, log });
  releases.push(() => db.close());
  await db.readClock();
  await db.prisma.workspace.findMany();
  await new Promise<void>((onListening) => {
    const onNotification = () => undefined;
    const listener = new NotificationListener({ url, channel: 'test', log, onNotification, onListening });
    releases.push(() => listener.close());
    void listener.start();
  });
  const sql = await connect(url);
  releases.push(() => sql.end());
  const { rows } = await sql.query<{ name: string; settings: object }>(
    `SELECT name, settings FROM decoy.sessions WHERE name <> 'the test'`,
  );
  const names = new Set(rows.map(({ name }) => name));
  expect([...names].sort()).toEqual(['darkroom', 'darkroom listener', 'darkroom migrate']);
  for (const { name, settings } of rows) expect({ name, ...settings }).toEqual({ name, ...RELIED_ON });
  const { rows: tables } = await sql.query<{ schema: string }>(
    `SELECT DISTINCT table_schema AS schema FROM information_schema.tables
     WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
  );
  expect(tables.map(({ schema }) => schema)).toEqual(['decoy', 'graphile_worker', 'public']);
});

test('no other code of the service opens a connection, except to the embedded server itself', () => {
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.ts') && !/generated|embedded/.test(file),
  );
  const opens =
    /new (pg\.)?(Client|Pool)\((?!\{\s*Client: DatabaseClient)|extends (pg\.)?Client|connectionString: \w+ \}\)/;
  const found = files.filter((file) => {
    const text = readFileSync(join('src', file), 'utf8');
    return text.includes("from 'pg'") && opens.test(text);
  });
  expect(found).toEqual([join('db', 'postgres', 'pool.ts')]);
});

describe.each(['Asia/Karachi', 'America/Los_Angeles'])('in a database with the time zone %s', (timezone) => {
  test('times are stored and read as they are', async () => {
    const database = await createTestDatabase();
    releases.push(() => database.drop());
    const sql = await connect(database.url);
    releases.push(() => sql.end());
    await sql.query(`ALTER DATABASE ${new URL(database.url).pathname.slice(1)} SET timezone = '${timezone}'`);
    const db = new Database({ url: database.url, maxConnections: 1, log });
    releases.push(() => db.close());
    await db.readClock();
    const [uploads, workspaces] = [new UploadRepository(db), new WorkspaceRepository(db)];
    const [workspaceId, id] = [newId(), newId()];
    await db.prisma.workspace.create({ data: { id: workspaceId, name: 'one' } });
    const now = Math.floor(databaseTimeMs());
    const upload = { id, workspaceId, actor: 'test', fileName: null, endUserId: null };
    await uploads.insert({ ...upload, expiresAt: new Date(now + HOUR_MS) });
    const entry = { ...AUDIT_ENTRY, id: newId(), workspaceId };
    const secret = await workspaces.rotateWebhookSecret(workspaceId, HOUR_MS / 1000, entry);

    const { rows } = await sql.query<{ upload: string; secret: string }>(
      `SELECT round(extract(epoch FROM expires_at) * 1000)::text AS upload,
              round(extract(epoch FROM webhook_previous_secret_expires_at) * 1000)::text AS secret
       FROM uploads, workspaces`,
    );
    expect(Number(rows[0]?.upload)).toBe(now + HOUR_MS);
    expect((await uploads.find(id))?.expiresAt.getTime()).toBe(now + HOUR_MS);
    expect(await uploads.deleteExpiredBefore(new Date(now + HOUR_MS / 2), 10)).toBe(0);
    expect(await uploads.deleteExpiredBefore(new Date(now + 2 * HOUR_MS), 10)).toBe(1);
    expect(Number(rows[0]?.secret)).toBe(secret.webhookPreviousSecretExpiresAt?.getTime());
    expect(Math.abs(Number(rows[0]?.secret) - now - HOUR_MS)).toBeLessThan(HOUR_MS / 2);
  });
});

test('the settings take no round trip', async () => {
  const client = new DatabaseClient({ connectionString: await createDatabaseWith(HOSTILE) });
  await (pg.Client.prototype.connect as (this: pg.Client) => Promise<unknown>).call(client);
  expect(client.lacksSettings).toBe(false);
  await client.end();
});

test('a pooler that drops the startup parameter `options` does not drop the settings', async () => {
  const url = await createDatabaseWith(HOSTILE);
  const pooler = await OptionsDroppingProxy.inFrontOf(url);
  releases.push(() => pooler.close());
  const client = new DatabaseClient({ connectionString: pooler.url });
  await client.connect();
  expect(client.lacksSettings).toBe(false);
  const { rows } = await client.query<{ settings: object }>(`SELECT ${ALL_SETTINGS} AS settings`);
  await client.end();
  expect(rows).toEqual([{ settings: RELIED_ON }]);
  const pool = createPool({ url: pooler.url, maxConnections: 1, log });
  const { rows: pooled } = await pool.query<{ settings: object }>(`SELECT ${ALL_SETTINGS} AS settings`);
  await pool.end();
  expect(pooled).toEqual([{ settings: RELIED_ON }]);
});

describe('the options of DATABASE_URL', () => {
  test('stay, except those that Darkroom relies on', async () => {
    const url = new URL(await createDatabaseWith([]));
    url.searchParams.set('options', '-c statement_timeout=7s -c TimeZone=Asia/Karachi -c geqo=off');
    const client = new DatabaseClient({ connectionString: url.href });
    await client.connect();
    const { rows } = await client.query(
      `SELECT current_setting('statement_timeout') AS timeout, current_setting('TimeZone') AS zone, current_setting('geqo') AS geqo`,
    );
    await client.end();
    expect(rows).toEqual([{ timeout: '7s', zone: 'UTC', geqo: 'off' }]);
  });
});
