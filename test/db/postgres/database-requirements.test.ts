import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { resolve } from 'node:path';
import { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { migrate } from '../../../src/db/postgres/migrate.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const LOGIN = 'darkroom_guest';

let database: TestDatabase;
let admin: pg.Client;
const releases: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  database = await createTestDatabase({ empty: true });
  admin = new pg.Client({ connectionString: database.url });
  await admin.connect();
});
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});
afterAll(async () => {
  await admin.end();
  await database.drop();
});

const urlWith = (change: (url: URL) => unknown): string => {
  const url = new URL(database.url);
  change(url);
  return url.href;
};

function migrateAt(databaseUrl: string): Promise<string[]> {
  return migrate({
    databaseUrl,
    migrationsDir: resolve('prisma/migrations'),
    log: pino({ level: 'silent' }),
  });
}

test('a database that cannot store every text is refused', async () => {
  await admin.query(`CREATE DATABASE latin_test TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'`);
  releases.push(() => admin.query('DROP DATABASE latin_test WITH (FORCE)'));
  await expect(migrateAt(urlWith((url) => (url.pathname = '/latin_test')))).rejects.toThrow(
    'The database "latin_test" has the encoding LATIN1, which cannot store every text. Create one with UTF8',
  );
});

test('a login that may not create tables is told whose the database must be', async () => {
  await admin.query(`CREATE ROLE ${LOGIN} LOGIN PASSWORD 'guest'`);
  releases.push(() => admin.query(`DROP ROLE ${LOGIN}`));
  const url = urlWith((given) => Object.assign(given, { username: LOGIN, password: 'guest' }));
  await expect(migrateAt(url)).rejects.toThrow(`Make it the owner: ALTER DATABASE "`);
});

test('a database that does not exist is named', async () => {
  await expect(migrateAt(urlWith((url) => (url.pathname = '/nothing')))).rejects.toThrow(
    'Create the database, or correct its name in DATABASE_URL.',
  );
});

test('a wrong password is named', async () => {
  await expect(migrateAt(urlWith((url) => (url.password = 'wrong')))).rejects.toThrow(
    'Correct the user name and password in DATABASE_URL',
  );
});

test('sslmode=require with a PostgreSQL that has no TLS says what to do', async () => {
  await expect(migrateAt(`${database.url}?sslmode=require`)).rejects.toThrow(
    'Turn on TLS in PostgreSQL, or write sslmode=disable in DATABASE_URL.',
  );
});

test('sslmode=require with a certificate of an unknown authority says what to write', async () => {
  const pem = readFileSync(new URL('../../support/net/self-signed.pem', import.meta.url));
  const sockets = new Set<Socket>();
  // A PostgreSQL that agrees to TLS: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    socket.once('data', () => {
      socket.write('S');
      new TLSSocket(socket, { isServer: true, cert: pem, key: pem }).on('error', () => undefined).resume();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  releases.push(async () => {
    sockets.forEach((socket) => socket.destroy());
    await new Promise((done) => server.close(done));
  });
  const { port } = server.address() as AddressInfo;
  await expect(migrateAt(`postgresql://user:pw@127.0.0.1:${port}/darkroom?sslmode=require`)).rejects.toThrow(
    'Unlike in psql, sslmode=require checks it. Name its authority in DATABASE_URL with ' +
      'sslmode=verify-full&sslrootcert=/path/to/ca.pem, or write sslmode=no-verify to encrypt without a check.',
  );
});
