import { LEDGER_DRIFT, type LedgerDrift } from '../../src/db/billing/ledger-check.js';
import { groupBy } from './group.js';
import { type ChaosPostgres } from './postgres.js';
import { type BilledGeneration, type SandboxProcess } from './sandbox.js';

/** A row of `tasks`. */
export interface TaskRow {
  id: string;
  prompt: string;
  status: string;
  pending: number;
  requestedCount: number;
  key: string;
  upstreamTaskId: string | null;
}

/** A row of `task_events`. `at` is in Unix milliseconds. */
export interface TaskEventRow {
  taskId: string;
  type: string;
  at: number;
  /** Null if not sealed. */
  position: number | null;
  deliveredCount: number;
}

/** A row of `images`. */
export interface ImageRow {
  taskId: string;
  index: number;
  isStored: boolean;
  byteSize: number | null;
  /** In hex. Also the name of its file. */
  sha256: string | null;
  lostReason: string | null;
}

/** A row of `webhook_deliveries`. Its id is the `webhook-id`. */
export interface WebhookDeliveryRow {
  id: string;
  taskId: string;
  kind: string;
  status: string;
}

/** Everything the verdict is based on. Read directly from its sources, not through the service under test. */
export interface Evidence {
  tasks: TaskRow[];
  /** By task ID, in the order in which they were written. */
  events: Map<string, TaskEventRow[]>;
  images: Map<string, ImageRow[]>;
  /** IDs of the tasks with a saved callback. */
  callbackTaskIds: Set<string>;
  webhookDeliveries: WebhookDeliveryRow[];
  billedGenerations: BilledGeneration[];
  /** Errors in the service's ledger. Null if the ledger is empty. */
  ledgerDrift: LedgerDrift | null;
  /** When the upstream finished each task, in Unix milliseconds by upstream task ID. */
  finishTimes: Map<string, number>;
}

/** Reads all evidence, at most a few thousand rows. */
export async function collectEvidence(postgres: ChaosPostgres, sandbox: SandboxProcess): Promise<Evidence> {
  const tasks = await postgres.query<TaskRow>(
    `SELECT id, prompt, status, pending_images AS pending, requested_count AS "requestedCount",
            idempotency_key AS key,
            upstream_task_id AS "upstreamTaskId" FROM tasks`,
  );
  const events = await postgres.query<TaskEventRow>(
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
  const webhookDeliveries = await postgres.query<WebhookDeliveryRow>(
    `SELECT id, task_id AS "taskId", kind, status FROM webhook_deliveries`,
  );
  const [driftRow] = await postgres.query<LedgerDrift & { entries: boolean }>(
    `SELECT off.*, EXISTS (SELECT FROM ledger_entries) AS entries FROM (${LEDGER_DRIFT.text}) off`,
  );
  const upstreamTaskIds = tasks.flatMap(({ upstreamTaskId }) => upstreamTaskId ?? []);
  return {
    tasks,
    events: groupBy(events, ({ taskId }) => taskId),
    images: groupBy(images, ({ taskId }) => taskId),
    callbackTaskIds: new Set(callbacks.map(({ taskId }) => taskId)),
    webhookDeliveries,
    billedGenerations: await sandbox.billedGenerations(),
    ledgerDrift: driftRow?.entries ? driftRow : null,
    finishTimes: await sandbox.finishTimes(upstreamTaskIds),
  };
}

/**
 * Counts unfinished work: unfinished tasks, images neither stored nor lost, events without a position, and tasks that ended a
 * moment ago with fewer images than are paid for. Those are read again 15 s after their end: a task that is sent right before its
 * deadline expires while its images are made.
 */
export async function countUnfinished(postgres: ChaosPostgres): Promise<number> {
  const [row] = await postgres.query<{ count: number }>(
    `SELECT (SELECT count(*) FROM tasks WHERE pending_images > 0
               OR status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING'))::int
          + (SELECT count(*) FROM images WHERE stored_at IS NULL AND lost_at IS NULL)::int
          + (SELECT count(*) FROM task_events WHERE position IS NULL)::int
          + (SELECT count(*) FROM tasks
             WHERE status IN ('SUCCEEDED', 'CANCELED', 'EXPIRED') AND upstream_task_id IS NOT NULL
               AND delivered_count + late_image_count < requested_count
               AND greatest(finished_at, submitted_at) > now() - interval '20 seconds')::int AS count`,
  );
  return row?.count ?? 0;
}
