/**
 * Seals without a pause, on several connections at once, as if it were many instances. Prints one line of JSON when it has
 * begun, and ends when its standard input does.
 */
import { pino } from 'pino';
import { Database } from '../../../src/db/postgres/database.js';
import { Events } from '../../../src/db/events/event-repository.js';

const BATCH = 1_000;
const { DATABASE_URL = '', AT_ONCE = '2' } = process.env;
process.stdin.resume().once('close', () => process.exit(1));
const log = pino({ level: 'silent' });
const db = new Database({ url: DATABASE_URL, maxConnections: Number(AT_ONCE), log });
const events = new Events(db);
await events.seal(BATCH);
console.log(JSON.stringify({}));
for (let count = 0; count < Number(AT_ONCE); count += 1) void sealOn();

async function sealOn(): Promise<never> {
  for (;;) await events.seal(BATCH);
}
