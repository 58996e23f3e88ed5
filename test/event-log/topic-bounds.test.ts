import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { workspaceVisibility } from '../../src/core/access/visibility.js';
import { TooManyConnections } from '../../src/core/errors.js';
import { EventCursorCodec } from '../../src/core/events/event-cursor.js';
import { Signer } from '../../src/core/access/signer.js';
import { newId } from '../../src/core/primitives/ids.js';
import { Database } from '../../src/db/postgres/database.js';
import { EventRepository } from '../../src/db/events/event-repository.js';
import { Broadcaster } from '../../src/event-log/broadcaster.js';
import { EventLog } from '../../src/event-log/event-log.js';
import { createTestDatabase } from '../support/setup/test-database.js';

const MB = 1024 * 1024;
const SINK = {
  bufferedBytes: 0,
  acceptedBytes: 0,
  batch: (work: () => void) => work(),
  send: () => undefined,
  complete: () => undefined,
  close: () => undefined,
};

// Enforces MAX_TOPIC_CHARACTERS_PER_WORKSPACE in src/event-log/topic-bounds.ts.
// Enforces MAX_TOPIC_CHARACTERS in src/event-log/topic-bounds.ts.
test('what different subscriptions keep is bounded, for a workspace and for all, and freed when they end', async () => {
  const log = pino({ level: 'silent' });
  const database = await createTestDatabase();
  const db = new Database({ url: database.url, maxConnections: 4, log });
  const events = new EventRepository(db);
  const eventLog = new EventLog(events, database.url, log);
  await eventLog.start();
  const cursors = new EventCursorCodec(new Signer(Buffer.alloc(32)), newId());
  const bufferLimits = { maxEvents: 1_000, maxBytes: 1e6 };
  const broadcaster = new Broadcaster({ eventLog, events, cursors, bufferLimits, stallMs: 1_000, log });
  /** Subscribes with variables of 5 MB, which begin with `name`. */
  const subscribe = (workspaceId: string, name: string) =>
    broadcaster.subscribe(
      {
        key: name.padEnd(5 * MB, 'x'),
        scope: { ...workspaceVisibility(workspaceId), taskId: null },
        matches: () => true,
        render: () => Promise.resolve(''),
        renderingCost: 1,
      },
      { position: eventLog.head, initialEvent: null, settledPosition: null },
      SINK,
    );
  try {
    const [one, ...others] = Array.from({ length: 10 }, () => newId());
    const subscribers = ['a', 'b', 'c'].map((name) => subscribe(one ?? '', name));
    expect(() => subscribe(one ?? '', 'd')).toThrow(TooManyConnections);
    // The same variables are kept once.
    subscribers.push(subscribe(one ?? '', 'a'));
    subscribers.pop()?.unsubscribe();
    subscribers.pop()?.unsubscribe();
    subscribers.push(subscribe(one ?? '', 'd'));
    const begun = others
      .slice(0, 7)
      .flatMap((workspaceId) => ['a', 'b', 'c'].map((name) => subscribe(workspaceId, workspaceId + name)));
    begun.push(subscribe(others[7] ?? '', 'last'));
    expect(() => subscribe(others[8] ?? '', 'e')).toThrow(/all workspaces/);
    for (const subscriber of [...subscribers, ...begun]) subscriber.unsubscribe();
    subscribe(others[8] ?? '', 'e').unsubscribe();
  } finally {
    await eventLog.stop();
    await db.close();
    await database.drop();
  }
});
