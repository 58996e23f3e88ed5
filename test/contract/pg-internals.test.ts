import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Duplex } from 'node:stream';
import { expect, test } from '@jest/globals';
import pg from 'pg';
import { ENTER_GROUP } from '../../src/db/postgres/statement-groups.js';
import { createStatementBatch } from '../../src/db/postgres/statement-batch.js';
import { bind, statement } from '../../src/db/postgres/statement.js';

/** The internals of pg that src/db/postgres/statement-batch.ts uses. statement-batch.test.ts tests what it does with them. */

const EXPECTED_VERSION = '8.23.1';

const prelude = bind(ENTER_GROUP, {});
const { values, ...read } = bind(statement<{ id: string }>('read', 'SELECT :id'), { id: 'an id' });

/** What pg's client has of a query while the query is active. */
interface ActiveQuery {
  submit(connection: pg.Connection): Error | null;
  handleRowDescription(message: { fields: object[] }): void;
  handleDataRow(message: { fields: (string | null)[] }): void;
  handleCommandComplete(message: { text: string }, connection: pg.Connection): void;
  handleReadyForQuery(connection: pg.Connection): void;
}

/** A connection of pg whose batches of messages are recorded. A batch is what reaches the socket in one write. */
function recordingConnection(): { connection: pg.Connection; batches: Buffer[]; socket: Duplex } {
  const batches: Buffer[] = [];
  const socket = new Duplex({
    read: () => undefined,
    writev: (chunks, done) => {
      batches.push(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)));
      done();
    },
  });
  return { connection: new pg.Connection({ stream: () => socket }), batches, socket };
}

/** The types of the messages in a batch: https://www.postgresql.org/docs/current/protocol-message-formats.html */
function messageTypes(batch: Buffer): string {
  let types = '';
  for (let offset = 0; offset < batch.length; offset += 1 + batch.readInt32BE(offset + 1))
    types += String.fromCharCode(batch[offset] ?? 0);
  return types;
}

test('the installed pg is the version that statement-batch.ts was written for', () => {
  const manifest = createRequire(import.meta.url).resolve('pg/package.json');
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  if (version !== EXPECTED_VERSION)
    throw new Error(
      `pg ${EXPECTED_VERSION} is what src/db/postgres/statement-batch.ts was written for, and ${version} is installed. Read that ` +
        'file, check that lib/query.js and lib/connection.js of the new version still do what it relies on, then change the version here.',
    );
});

test('a query of pg has the methods that statement-batch.ts replaces', () => {
  const query = new pg.Query({ text: 'SELECT 1' }) as unknown as ActiveQuery;
  expect(typeof query.submit).toBe('function');
  expect(typeof query.handleCommandComplete).toBe('function');
});

test('a statement is sent with its prelude in one batch that ends with the only Sync', () => {
  const { connection, batches } = recordingConnection();
  const batch = { prelude, statement: read, valueLists: [values], done: () => undefined };
  expect((createStatementBatch(batch) as unknown as ActiveQuery).submit(connection)).toBeNull();
  // Bind and Execute of the prelude. Then Parse, Bind, Describe, Execute and Sync.
  expect(batches.map(messageTypes)).toEqual(['BEPBDES']);
  expect(batches[0]?.includes('enter-group')).toBe(true);
  expect(batches[0]?.includes('SELECT $1')).toBe(true);
});

test('more runs of the statement add a Bind and an Execute each, with their values as pg would send them', () => {
  const { connection, batches } = recordingConnection();
  const valueLists = [[new Date(0)], [new Date(86_400_000)], [null]];
  const batch = { prelude, statement: read, valueLists, done: () => undefined };
  (createStatementBatch(batch) as unknown as ActiveQuery).submit(connection);
  expect(batches.map(messageTypes)).toEqual(['BEPBDEBEBES']);
  expect(batches[0]?.toString()).toMatch(/1970-01-01T.*1970-01-02T/s);
});

test('a batch that pg cannot submit closes the connection without a Sync, so nothing is committed', () => {
  const circle: Record<string, unknown> = {};
  circle['itself'] = circle;
  for (const valueLists of [[[circle]], [['a value'], [circle]]]) {
    const { connection, batches, socket } = recordingConnection();
    socket.on('error', () => undefined);
    const batch = { prelude, statement: read, valueLists, done: () => undefined };
    (createStatementBatch(batch) as unknown as ActiveQuery).submit(connection);
    expect(socket.destroyed).toBe(true);
    expect(batches.map(messageTypes).join('')).not.toContain('S');
  }
});

test('a prepared name with another text closes the connection', () => {
  const { connection, socket } = recordingConnection();
  socket.on('error', () => undefined);
  const submit = (text: string) =>
    (
      createStatementBatch({
        prelude,
        statement: { ...read, text },
        valueLists: [values],
        done: () => undefined,
      }) as unknown as ActiveQuery
    ).submit(connection);
  submit('SELECT $1');
  expect(socket.destroyed).toBe(false);
  submit('another text under the same name');
  expect(socket.destroyed).toBe(true);
});

test('each run gets its own rows, and the prelude none', () => {
  const results: unknown[] = [];
  const { connection } = recordingConnection();
  const done = (_error: Error | null, rows: object[][]) => void results.push(rows);
  const query = createStatementBatch({
    prelude,
    statement: read,
    valueLists: [values, values, values],
    done,
  }) as unknown as ActiveQuery;
  query.submit(connection);
  query.handleCommandComplete({ text: 'SELECT 0' }, connection);
  const format = 'text';
  query.handleRowDescription({ fields: [{ name: 'id', dataTypeID: 25, format }] });
  for (const id of ['one', 'two']) query.handleDataRow({ fields: [id] });
  query.handleCommandComplete({ text: 'SELECT 2' }, connection);
  query.handleCommandComplete({ text: 'SELECT 0' }, connection);
  query.handleDataRow({ fields: ['three'] });
  query.handleCommandComplete({ text: 'SELECT 1' }, connection);
  query.handleReadyForQuery(connection);
  expect(results).toEqual([[[{ id: 'one' }, { id: 'two' }], [], [{ id: 'three' }]]]);
});
