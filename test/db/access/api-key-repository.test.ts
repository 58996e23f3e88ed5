import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import pino from 'pino';
import { type NewAuditEntry } from '../../../src/core/access/audit-entry.js';
import { newId } from '../../../src/core/primitives/ids.js';
import {
  ApiKeyRepository,
  keyCreatedEntry,
  type NewApiKey,
} from '../../../src/db/access/api-key-repository.js';
import { WorkspaceRepository } from '../../../src/db/access/workspace-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const workspaceId = newId();
const HOUR_SECONDS = 3_600;

let own: TestDatabase;
let db: Database;
let keys: ApiKeyRepository;
let admin: Client;
beforeAll(async () => {
  own = await createTestDatabase();
  db = new Database({ url: own.url, maxConnections: 4, log: pino({ level: 'silent' }) });
  keys = new ApiKeyRepository(db);
  admin = new Client({ connectionString: own.url });
  await admin.connect();
  const key = newKey();
  await new WorkspaceRepository(db).insert({ id: workspaceId, name: 'ours' }, key, [
    keyCreatedEntry('test', key),
  ]);
});
afterAll(async () => {
  await admin.end();
  await db.close();
  await own.drop();
});

function newKey(expiresAt: Date | null = null): NewApiKey {
  const id = newId();
  const hint = { prefix: 'dk_123456', lastFour: '7890' };
  return {
    ...{ id, workspaceId, name: `key ${id}`, ...hint, hash: Buffer.from(id), expiresAt },
    scopes: ['tasks:read', 'keys:admin'],
    limits: { connections: 3 },
  };
}
const successor = () => {
  const { id, prefix, lastFour, hash } = newKey();
  return { id, prefix, lastFour, hash };
};
const entry = (targetId: string, fields: Partial<NewAuditEntry> = {}): NewAuditEntry => ({
  ...keyCreatedEntry('test', { ...newKey(), id: targetId }),
  ...fields,
});
const insertKey = async (expiresAt: Date | null = null) => {
  const key = newKey(expiresAt);
  return keys.insert(key, keyCreatedEntry('test', key));
};
const entriesOf = async (targetId: string) =>
  (
    await admin.query<{ data: object }>('SELECT data FROM audit_log WHERE target_id = $1 ORDER BY id', [
      targetId,
    ])
  ).rows;

describe('an API key and its audit entry', () => {
  test('are one commit', async () => {
    const taken = entry(newId());
    const first = newKey();
    await keys.insert(first, taken);
    const second = newKey();
    await expect(keys.insert(second, taken)).rejects.toThrow('Unique constraint');
    expect(await keys.findById(second.id)).toBeNull();
    await expect(keys.revoke(workspaceId, first.id, taken)).rejects.toThrow('Unique constraint');
    expect(await keys.find(workspaceId, first.id)).toMatchObject({ revokedAt: null });
  });

  test('keep dates and nested values of `data` as JSON', async () => {
    const data = { expiresAt: new Date(0), limits: { connections: null }, $type: 'text', none: undefined };
    const { id } = newKey();
    await keys.insert({ ...newKey(), id }, entry(id, { data }));
    expect(await entriesOf(id)).toEqual([{ data: JSON.parse(JSON.stringify(data)) as object }]);
  });

  test('are written once when a key is revoked again', async () => {
    const { id } = await insertKey();
    const revoked = await keys.revoke(workspaceId, id, entry(id));
    expect(revoked?.revokedAt).toBeInstanceOf(Date);
    expect(await keys.revoke(workspaceId, id, entry(id))).toEqual(revoked);
    expect(await entriesOf(id)).toHaveLength(2);
    expect(await keys.revoke(newId(), id, entry(id))).toBeNull();
  });
});

describe('rotating a key', () => {
  const rotate = (id: string, gracePeriodSeconds: number) =>
    keys.rotate({ workspaceId, id }, successor(), { gracePeriodSeconds, audit: entry(id) });

  test('makes a successor with the same scopes, limits and expiry, and never prolongs the key', async () => {
    const inAnHour = new Date(Date.now() + HOUR_SECONDS * 1000);
    const { id, name, scopes, limits } = await insertKey(inAnHour);
    expect(await rotate(id, 2 * HOUR_SECONDS)).toMatchObject({ name, scopes, limits, expiresAt: inAnHour });
    expect((await keys.find(workspaceId, id))?.expiresAt).toEqual(inAnHour);
    await rotate(id, HOUR_SECONDS / 2);
    const shortened = (await keys.find(workspaceId, id))?.expiresAt ?? inAnHour;
    expect(shortened.getTime()).toBeLessThan(inAnHour.getTime());
  });

  test('waits for a concurrent rotation, and finds no active key after one without a grace period', async () => {
    const { id } = await insertKey();
    const locker = new Client({ connectionString: own.url });
    await locker.connect();
    await locker.query('BEGIN');
    await locker.query('SELECT FROM api_keys WHERE id = $1 FOR UPDATE', [id]);
    const rotations = Promise.all([rotate(id, 0), rotate(id, 0), rotate(id, 0)]);
    await waitFor('all rotations to wait', async () => {
      const { rowCount } = await admin.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      return rowCount === 3;
    });
    await locker.end();
    expect((await rotations).filter((successor) => successor !== null)).toHaveLength(1);
    expect(await entriesOf(id)).toHaveLength(2);
  });

  test('refuses revoked and expired keys and those of another workspace', async () => {
    const [revoked, expired] = [await insertKey(), await insertKey(new Date(Date.now() - 1))];
    await keys.revoke(workspaceId, revoked.id, entry(revoked.id));
    expect(await rotate(revoked.id, HOUR_SECONDS)).toBeNull();
    expect(await rotate(expired.id, HOUR_SECONDS)).toBeNull();
    const { id } = await insertKey();
    const fromElsewhere = { gracePeriodSeconds: 0, audit: entry(id) };
    expect(await keys.rotate({ workspaceId: newId(), id }, successor(), fromElsewhere)).toBeNull();
  });
});

test('scopes that this release does not know are dropped from results and inherited by successors', async () => {
  const { id } = await insertKey();
  await admin.query(`UPDATE api_keys SET scopes = '{tasks:read,future:scope}' WHERE id = $1`, [id]);
  const rotated = await keys.rotate({ workspaceId, id }, successor(), {
    gracePeriodSeconds: HOUR_SECONDS,
    audit: entry(id),
  });
  expect(rotated?.scopes).toEqual(['tasks:read']);
  const { rows } = await admin.query('SELECT scopes FROM api_keys WHERE id = $1', [rotated?.id]);
  expect(rows).toEqual([{ scopes: ['tasks:read', 'future:scope'] }]);
});

test('one of several instances that start at once inserts the first key', async () => {
  await admin.query('TRUNCATE api_keys, workspaces');
  const hint = { prefix: 'dk_123456', lastFour: '7890' };
  const inserted = await Promise.all(
    [1, 2, 3, 4].map((instance) => keys.insertFirst({ ...hint, hash: Buffer.of(instance) })),
  );
  expect(inserted.filter(Boolean)).toHaveLength(1);
  expect((await admin.query('SELECT FROM api_keys')).rowCount).toBe(1);
});
