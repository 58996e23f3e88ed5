import pg from 'pg';
import { type Logger, pino } from 'pino';
import { Signer } from '../../../src/core/access/signer.js';
import { EventCursorCodec } from '../../../src/core/events/event-cursor.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { EventRepository } from '../../../src/db/events/event-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { Broadcaster } from '../../../src/event-log/broadcaster.js';
import { EventLog } from '../../../src/event-log/event-log.js';
import { createTestDatabase } from '../setup/test-database.js';

const silent = pino({ level: 'silent' });

/** An event log with its broadcaster, as one instance has them, on a database with one workspace. */
export interface Broadcasting {
  workspaceId: string;
  /** Not the connections of the event log. */
  sql: pg.Pool;
  log: EventLog;
  cursors: EventCursorCodec;
  broadcaster: Broadcaster;
  stop: () => Promise<void>;
}

/** `broadcasterLog` gets the messages of the broadcaster. */
export async function startBroadcasting(broadcasterLog: Logger = silent): Promise<Broadcasting> {
  const database = await createTestDatabase();
  const sql = new pg.Pool({ connectionString: database.url, max: 4 });
  const workspaceId = newId();
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
  const db = new Database({ url: database.url, maxConnections: 4, log: silent });
  const events = new EventRepository(db);
  const log = new EventLog(events, database.url, silent);
  await log.start();
  const cursors = new EventCursorCodec(new Signer(Buffer.alloc(32)), newId());
  const bufferLimits = { maxEvents: 1_000, maxBytes: 1e6 };
  const options = { eventLog: log, events, cursors, bufferLimits, stallMs: 1_000, log: broadcasterLog };
  const stop = async () => {
    await log.stop();
    await db.close();
    await sql.end();
    await database.drop();
  };
  return { workspaceId, sql, log, cursors, broadcaster: new Broadcaster(options), stop };
}
