/**
 * `npm run ledger:verify`: compares the ledger with tasks, images and budget counters, and lists what differs. Exits with code
 * 1 when anything does. Checks the database of DATABASE_URL, or without one the embedded PostgreSQL of DATA_DIR (default
 * .data), which must not be running. With DATABASE_URL it is safe to run while the service is running.
 */
import { pino } from 'pino';
import { findLedgerDrift } from '../src/db/billing/ledger-check.js';
import { readDatabaseConfig } from '../src/config/config.js';
import { EmbeddedPostgres } from '../src/db/embedded/embedded-postgres.js';
import { Database } from '../src/db/postgres/database.js';

const log = pino({ level: 'warn' });
let embedded: EmbeddedPostgres | undefined;
let db: Database | undefined;
try {
  const { databaseUrl, dataDir } = readDatabaseConfig(process.env);
  if (databaseUrl === null) embedded = await EmbeddedPostgres.start({ dataDir, log });
  db = new Database({ url: databaseUrl ?? embedded?.url ?? '', maxConnections: 1, log });
  const { count, examples, taskCount, entryCount, counterCount } = await findLedgerDrift(db);
  for (const example of examples ?? []) console.log(`differs  ${example}`);
  if (count > (examples?.length ?? 0)) console.log(`differs  ${count - (examples?.length ?? 0)} more`);
  console.log(
    `Tasks with a price: ${taskCount}, ledger entries: ${entryCount}, budget counters: ${counterCount}, differences: ${count}`,
  );
  process.exitCode = count > 0 ? 1 : 0;
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  await db?.close();
  await embedded?.stop();
}
