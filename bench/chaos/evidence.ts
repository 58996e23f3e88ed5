import { LEDGER_DRIFT, type LedgerDrift } from '../../src/db/billing/ledger-check.js';
import { groupBy } from './group.js';
import { type Postgres } from './postgres.js';
import { type LedgerEntry, type SandboxProcess } from './sandbox.js';

/** A row of `tasks`. */
export interface TaskRow {
  id: string;
  prompt: string;
  status: string;
  pending: number;
  key: string;
  upstreamTaskId: string | null;
}

/** A row of `task_events`. `at` is milliseconds since 1970. */
export interface EventRow {
  taskId: string;
  type: string;
  at: number;
  /** Null: not sealed. */
  position: number | null;
  deliveredCount: number;
}

/** A row of `images`. */
export interface ImageRow {
  taskId: string;
  index: number;
  isStored: boolean;
  byteSize: number | null;
  /** Hex; also the name of its file. */
  sha256: string | null;
  lostReason: string | null;
}

/** A row of `outgoing_callbacks`. Its id is the `webhook-id`. */
export interface OutgoingRow {
  id: string;
  taskId: string;
  kind: string;
  status: string;
}

/** Everything that the judgement is based on, read from where it lies and not through the service that is judged. */
export interface Evidence {
  tasks: TaskRow[];
  /** In the order of writing. */
  events: Map<string, EventRow[]>;
  images: Map<string, ImageRow[]>;
  /** Tasks of which a callback is kept. */
  callbacks: Set<string>;
  outgoing: OutgoingRow[];
  ledger: LedgerEntry[];
  /** What is wrong with the service's own ledger; null: nothing was written in it. */
  drift: LedgerDrift | null;
  /** By the upstream's id: when it finished the task. */
  finishTimes: Map<string, number>;
}

/** Reads all of it. Some thousand rows at most. */
export async function gatherEvidence(postgres: Postgres, sandbox: SandboxProcess): Promise<Evidence> {
  const tasks = await postgres.query<TaskRow>(
    `SELECT id, prompt, status, pending_images AS pending, idempotency_key AS key,
            upstream_task_id AS "upstreamTaskId" FROM tasks`,
  );
  const events = await postgres.query<EventRow>(
    `SELECT task_id AS "taskId", type, extract(epoch FROM at)::float8 * 1000 AS at, position::int AS position,
            coalesce((data->>'deliveredCount')::int, 0) AS "deliveredCount" FROM task_events ORDER BY seq`,
  );
  const images = await postgres.query<ImageRow>(
    `SELECT task_id AS "taskId", index, stored_at IS NOT NULL AS "isStored", byte_size AS "byteSize",
            encode(sha256, 'hex') AS sha256, lost_reason AS "lostReason" FROM images`,
  );
  const callbacks = await postgres.query<{ taskId: string }>(
    `SELECT DISTINCT task_id AS "taskId" FROM callbacks`,
  );
  const outgoing = await postgres.query<OutgoingRow>(
    `SELECT id, task_id AS "taskId", kind, status FROM outgoing_callbacks`,
  );
  const [money] = await postgres.query<LedgerDrift & { entries: boolean }>(
    `SELECT off.*, EXISTS (SELECT FROM ledger_entries) AS entries FROM (${LEDGER_DRIFT.text}) off`,
  );
  const upstreamTaskIds = tasks.flatMap(({ upstreamTaskId }) => upstreamTaskId ?? []);
  return {
    tasks,
    events: groupBy(events, ({ taskId }) => taskId),
    images: groupBy(images, ({ taskId }) => taskId),
    callbacks: new Set(callbacks.map(({ taskId }) => taskId)),
    outgoing,
    ledger: await sandbox.ledger(),
    drift: money?.entries ? money : null,
    finishTimes: await sandbox.finishTimes(upstreamTaskIds),
  };
}

/** How much is still to be done: open tasks, pictures that are neither stored nor lost, events without a place. */
export async function countUnfinished(postgres: Postgres): Promise<number> {
  const [row] = await postgres.query<{ count: number }>(
    `SELECT (SELECT count(*) FROM tasks WHERE pending_images > 0
               OR status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING'))::int
          + (SELECT count(*) FROM images WHERE stored_at IS NULL AND lost_at IS NULL)::int
          + (SELECT count(*) FROM task_events WHERE position IS NULL)::int AS count`,
  );
  return row?.count ?? 0;
}
