import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { DatabaseError } from 'pg';
import { pino } from 'pino';
import { DatabaseUnavailable } from '../../../src/core/errors.js';
import { Database } from '../../../src/db/postgres/database.js';
import { isUnavailable, mustReplaceConnection, OUTAGES } from '../../../src/db/postgres/database-errors.js';
import { statement } from '../../../src/db/postgres/statement.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const READ = statement('read-one', 'SELECT 1');

let own: TestDatabase;
const opened: Database[] = [];
beforeAll(async () => {
  own = await createTestDatabase();
});
afterEach(async () => {
  for (const database of opened.splice(0)) await database.close();
});
afterAll(() => own.drop());

function openDatabase(url: string): Database {
  const database = new Database({ url, maxConnections: 2, log: pino({ level: 'silent' }) });
  opened.push(database);
  return database;
}

function urlWith(change: (url: URL) => unknown): string {
  const url = new URL(own.url);
  change(url);
  return url.href;
}

const WAYS: Record<string, (database: Database) => Promise<unknown>> = {
  'a statement': (database) => database.query(READ, {}),
  'Prisma Client': (database) => database.prisma.lease.count(),
  'a transaction of Prisma Client': (database) =>
    database.transactionWithPrisma((prisma) => prisma.lease.count()),
};

/** The servers that connections can lead to after a failover. */
const WRONG_SERVERS: Record<string, () => string> = {
  'has another password': () => urlWith((url) => (url.password = 'wrong')),
  'does not know the user': () => urlWith((url) => (url.username = 'nobody')),
  'lacks the database': () => urlWith((url) => (url.pathname = '/nothing')),
  'has no TLS': () => `${own.url}?sslmode=require`,
};

describe.each(Object.keys(WRONG_SERVERS))('a server that %s', (server) => {
  test.each(Object.keys(WAYS))('is an outage for %s', async (way) => {
    const database = openDatabase(WRONG_SERVERS[server]?.() ?? '');
    await expect(WAYS[way]?.(database)).rejects.toThrow(DatabaseUnavailable);
  });
});

/** A PostgreSQL that refuses every connection. Its language is not English, so its word for FATAL is another one. */
async function withRefusingServer(code: string, work: (url: string) => Promise<unknown>): Promise<void> {
  const fields = ['SВАЖНО', 'VFATAL', `C${code}`, 'Mпочему'].map((field) => `${field}\0`).join('');
  const body = Buffer.from(`${fields}\0`);
  const header = Buffer.from('E\0\0\0\0');
  header.writeInt32BE(body.length + 4, 1);
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(Buffer.concat([header, body])));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await work(`postgresql://user:pw@127.0.0.1:${(server.address() as AddressInfo).port}/darkroom`);
  } finally {
    await new Promise((done) => server.close(done));
  }
}

test.each(['42501', '55000', 'XX000'])(
  'a connection that is refused with %s in any language is an outage',
  async (code) => {
    await withRefusingServer(code, async (url) => {
      for (const reach of Object.values(WAYS))
        await expect(reach(openDatabase(url))).rejects.toThrow(DatabaseUnavailable);
    });
  },
);

test('an error of a file of the server is an outage for Prisma Client too', async () => {
  const { prisma } = openDatabase(own.url);
  const failWith = (code: string) =>
    prisma.$executeRawUnsafe(`DO $$ BEGIN RAISE EXCEPTION 'why' USING ERRCODE = '${code}'; END $$`);
  await expect(failWith('58030')).rejects.toThrow(DatabaseUnavailable);
  await expect(failWith('XX000')).rejects.not.toThrow(DatabaseUnavailable);
});

const titleOf = ({ message, ...fields }: Error): string => JSON.stringify({ message, ...fields });
const databaseError = (severity: string, code: string) =>
  Object.assign(new DatabaseError('why', 0, 'error'), { severity, code });
const nodeError = (fields: object) => Object.assign(new Error('why'), fields);

const WITH_ANOTHER_CONNECTION = [
  ...['08006', '25006', '25P03', '28P01', '3D000'].map((code) => databaseError('ERROR', code)),
  ...['57P01', '57P02', '57P03', '58030', '58P01'].map((code) => databaseError('ERROR', code)),
  databaseError('FATAL', 'XX000'),
  databaseError('PANIC', 'XX001'),
  databaseError('FATAL', '25P03'),
  nodeError({ code: 'EMFILE', syscall: 'connect' }),
  nodeError({ code: 'EACCES', syscall: 'connect' }),
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN'].map(
    (code) => nodeError({ code }),
  ),
  ...['ENOTFOUND', 'EAI_AGAIN', 'ENFILE', 'EPROTO'].map((code) => nodeError({ code })),
  ...['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_TLS_CERT_ALTNAME_INVALID', 'CERT_HAS_EXPIRED'].map((code) =>
    nodeError({ code }),
  ),
  ...['DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'HOSTNAME_MISMATCH'].map((code) =>
    nodeError({ code }),
  ),
  nodeError({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }),
  new AggregateError([nodeError({ code: 'EACCES', syscall: 'connect' })]),
  new Error('SASL: SCRAM-SERVER-FINAL-MESSAGE: server signature does not match'),
  new Error('Query read timeout'),
  new Error('Connection terminated unexpectedly'),
  new Error('Client has encountered a connection error and is not queryable'),
  new Error('timeout exceeded when trying to connect'),
];
const WITH_THE_SAME_CONNECTION = [
  ...['40001', '40P01', '53000', '53100', '53200', '53300', '55P03', '57014'].map((code) =>
    databaseError('ERROR', code),
  ),
  ...['P1001', 'P1017', 'P2024', 'P2028', 'P2034'].map((code) => nodeError({ code })),
];

test.each(WITH_ANOTHER_CONNECTION.map((error) => [titleOf(error), error] as const))(
  '%s is an outage, and the connection is replaced',
  (_title, error) => {
    expect(isUnavailable(error)).toBe(true);
    expect(mustReplaceConnection(error)).toBe(true);
  },
);

test.each(WITH_THE_SAME_CONNECTION.map((error) => [titleOf(error), error] as const))(
  '%s is an outage, and the connection is kept',
  (_title, error) => {
    expect(isUnavailable(error)).toBe(true);
    expect(mustReplaceConnection(error)).toBe(false);
  },
);

test('each line of the table has an example above', () => {
  const examples = [...WITH_ANOTHER_CONNECTION, ...WITH_THE_SAME_CONNECTION].map((error) => ({
    code: '',
    severity: '',
    ...error,
    message: error.message,
  }));
  const hasExample = ({ codes, severities, messages }: (typeof OUTAGES)[number]) =>
    examples.some(
      ({ code, severity, message }) =>
        codes?.some((prefix) => code.startsWith(prefix)) ||
        severities?.includes(severity) ||
        messages?.some((part) => message.includes(part)),
    );
  expect(OUTAGES.filter((outage) => !hasExample(outage))).toEqual([]);
});

test.each(
  [
    databaseError('ERROR', 'XX000'),
    databaseError('ERROR', 'XX001'),
    databaseError('ERROR', '23505'),
    databaseError('ERROR', '42P01'),
    databaseError('ERROR', '42501'),
    Object.assign(databaseError('ERROR', '22P02'), { message: 'invalid input: "Connection terminated"' }),
    new TypeError("Cannot read properties of undefined (reading 'id')"),
    nodeError({ code: 'ERR_INVALID_ARG_TYPE' }),
  ].map((error) => [titleOf(error), error] as const),
)('%s is not an outage', (_title, error) => {
  expect(isUnavailable(error)).toBe(false);
  expect(mustReplaceConnection(error)).toBe(false);
});
