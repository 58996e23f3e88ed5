import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Duplex } from 'node:stream';
import { expect, test } from '@jest/globals';
import pg from 'pg';
import { createCallerQuery, ENTER_WORKSPACE } from '../../src/db/postgres/caller-query.js';
import { bind, statement } from '../../src/db/postgres/statement.js';

/** The internals of pg that src/db/postgres/caller-query.ts uses. caller-query.test.ts tests what it does with them. */

const EXPECTED_VERSION = '8.23.1';

const enterWorkspace = bind(ENTER_WORKSPACE, { workspaceId: 'a workspace', planCacheMode: 'auto' });
const callerStatement = bind(statement<{ id: string }>('read', 'SELECT :id'), { id: 'an id' });

/** What pg's client has of a query while the query is active. */
interface ActiveQuery {
  submit(connection: pg.Connection): Error | null;
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

test('the installed pg is the version that caller-query.ts was written for', () => {
  const manifest = createRequire(import.meta.url).resolve('pg/package.json');
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  if (version !== EXPECTED_VERSION)
    throw new Error(
      `pg ${EXPECTED_VERSION} is what src/db/postgres/caller-query.ts was written for, and ${version} is installed. Read that ` +
        'file, check that lib/query.js and lib/connection.js of the new version still do what it relies on, then change the version here.',
    );
});

test('a query of pg has the methods that caller-query.ts replaces', () => {
  const query = new pg.Query({ text: 'SELECT 1' }) as unknown as ActiveQuery;
  expect(typeof query.submit).toBe('function');
  expect(typeof query.handleCommandComplete).toBe('function');
});

test("a caller's statement is sent with ENTER_WORKSPACE in one batch that ends with the only Sync", () => {
  const { connection, batches } = recordingConnection();
  const query = createCallerQuery(enterWorkspace, callerStatement, () => undefined);
  expect((query as unknown as ActiveQuery).submit(connection)).toBeNull();
  // Bind and Execute of ENTER_WORKSPACE. Then Parse, Bind, Describe, Execute and Sync.
  expect(batches.map(messageTypes)).toEqual(['BEPBDES']);
  expect(batches[0]?.includes('enter-workspace')).toBe(true);
  expect(batches[0]?.includes('caller-read')).toBe(true);
});

test('a query that pg cannot submit closes the connection, because no Sync follows', () => {
  const { connection, socket } = recordingConnection();
  socket.on('error', () => undefined);
  const query = (text: string) =>
    createCallerQuery(
      enterWorkspace,
      { ...callerStatement, text },
      () => undefined,
    ) as unknown as ActiveQuery;
  query('SELECT $1').submit(connection);
  expect(socket.destroyed).toBe(false);
  query('another text under the same name').submit(connection);
  expect(socket.destroyed).toBe(true);
});

test("the result of a caller's statement does not contain the completion of ENTER_WORKSPACE", () => {
  const results: unknown[] = [];
  const { connection } = recordingConnection();
  const query = createCallerQuery(enterWorkspace, callerStatement, (_error, result) => {
    results.push(result);
  }) as unknown as ActiveQuery;
  query.submit(connection);
  query.handleCommandComplete({ text: 'SELECT 0' }, connection);
  query.handleCommandComplete({ text: 'SELECT 3' }, connection);
  query.handleReadyForQuery(connection);
  expect(results).toMatchObject([{ command: 'SELECT', rowCount: 3 }]);
});
