/**
 * Seals events in an endless loop on several connections at once, like many instances. Prints one line of JSON once it has
 * started, and exits when its standard input closes.
 */
import { pino } from 'pino';
import { Database } from '../../../src/db/postgres/database.js';
import { EventRepository } from '../../../src/db/events/event-repository.js';

const BATCH_SIZE = 1_000;
const { DATABASE_URL = '', CONCURRENCY = '2' } = process.env;
process.stdin.resume().once('close', () => process.exit(1));
const log = pino({ level: 'silent' });
const db = new Database({ url: DATABASE_URL, maxConnections: Number(CONCURRENCY), log });
const events = new EventRepository(db);
await events.seal(BATCH_SIZE);
console.log(JSON.stringify({}));
for (let count = 0; count < Number(CONCURRENCY); count += 1) void sealForever();

async function sealForever(): Promise<never> {
  for (;;) await events.seal(BATCH_SIZE);
}
