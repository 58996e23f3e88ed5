import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { DatabaseUnavailable } from '../../../src/core/errors.js';
import { EventRepository } from '../../../src/db/events/event-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { InstanceRepository } from '../../../src/db/instances/instance-repository.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const PARTS = ['queue', 'heartbeat', 'sealing'] as const;
type Part = (typeof PARTS)[number];

let own: TestDatabase;
let admin: pg.Client;
let name: string;
beforeAll(async () => {
  own = await createTestDatabase();
  name = new URL(own.url).pathname.slice(1);
  admin = new pg.Client({ connectionString: own.url });
  await admin.connect();
});
afterAll(async () => {
  await admin.end();
  await own.drop();
});

/** The probes on connections of their own, which have the present settings of the database. */
async function withProbes(work: (probes: Record<Part, () => Promise<void>>) => Promise<void>): Promise<void> {
  const database = new Database({ url: own.url, maxConnections: 3, log: pino({ level: 'silent' }) });
  const instances = new InstanceRepository(database);
  const events = new EventRepository(database);
  try {
    await work({
      queue: () => instances.probeQueue(),
      heartbeat: () => instances.probeHeartbeat(),
      sealing: () => events.probeSealing(),
    });
  } finally {
    await database.close();
  }
}

test('a part can work when nothing is in its way, however often it is asked', async () => {
  await withProbes(async (probes) => {
    for (const part of [...PARTS, ...PARTS]) await expect(probes[part]()).resolves.toBeUndefined();
  });
});

describe('a part cannot work, so that a new part or process would not help', () => {
  test.each<[Part, string]>([
    ['queue', 'LOCK TABLE graphile_worker._private_jobs IN SHARE MODE'],
    ['heartbeat', 'LOCK TABLE instances IN SHARE MODE'],
    ['sealing', 'LOCK TABLE task_events IN SHARE MODE'],
    ['sealing', 'SELECT FROM event_log FOR UPDATE'],
  ])('while another session holds a lock of the %s: %s', async (part, lock) => {
    await withProbes(async (probes) => {
      await admin.query(`BEGIN; ${lock}`);
      try {
        await expect(probes[part]()).rejects.toThrow(DatabaseUnavailable);
      } finally {
        await admin.query('ROLLBACK');
      }
    });
  });

  test.each(PARTS)('while the database is read-only (%s)', async (part) => {
    await admin.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
    try {
      await withProbes(async (probes) => {
        await expect(probes[part]()).rejects.toThrow(DatabaseUnavailable);
      });
    } finally {
      await admin.query(
        `SET transaction_read_only = off; ALTER DATABASE ${name} RESET default_transaction_read_only`,
      );
    }
  });

  test('while commits hang, as they do without a synchronous standby', async () => {
    // The other databases of the server do not wait for standbys, because their commits wait for nothing.
    await admin.query(`ALTER DATABASE ${name} SET synchronous_commit = on`);
    await admin.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    await admin.query('SELECT pg_reload_conf()');
    try {
      await withProbes(async (probes) => {
        const ends = await Promise.allSettled(PARTS.map((part) => probes[part]()));
        expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
      });
    } finally {
      await admin.query('ALTER SYSTEM RESET synchronous_standby_names');
      await admin.query('SELECT pg_reload_conf()');
      await admin.query(`ALTER DATABASE ${name} RESET synchronous_commit`);
    }
  });
});
