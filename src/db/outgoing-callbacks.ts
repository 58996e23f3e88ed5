import { type NewAuditEntry } from '../core/audit.js';
import { type EventData } from '../core/events.js';
import { type Delivery, type OutgoingCallback } from '../core/outgoing-callback.js';
import { audited, auditValue } from './audit-log.js';
import { type Database } from './database.js';

/**
 * Takes what is due, for as many attempts as each receiver has room for, oldest first; `next_attempt_at` is when the
 * attempt counts as given up. Receivers are walked by the index, one look each, so that a long line before one of them
 * costs the others nothing. A task's second callback waits until its first is delivered or abandoned.
 */
const CLAIM = {
  name: 'claim-outgoing-callbacks',
  text: `
  WITH RECURSIVE receivers AS (
    (SELECT receiver FROM outgoing_callbacks WHERE status = 'PENDING' ORDER BY receiver LIMIT 1)
    UNION ALL
    SELECT (SELECT next.receiver FROM outgoing_callbacks next
            WHERE next.status = 'PENDING' AND next.receiver > receivers.receiver ORDER BY next.receiver LIMIT 1)
    FROM receivers WHERE receivers.receiver IS NOT NULL
  ), room AS (
    SELECT receivers.receiver, $2 - coalesce(busy.value::int, 0) AS attempts
    FROM receivers LEFT JOIN jsonb_each_text($1::jsonb) busy ON busy.key = receivers.receiver
  ), due AS (
    SELECT candidate.id FROM room CROSS JOIN LATERAL (
      SELECT id, next_attempt_at FROM outgoing_callbacks callback
      WHERE receiver = room.receiver AND status = 'PENDING' AND next_attempt_at <= now()
        AND NOT EXISTS (
          SELECT FROM outgoing_callbacks earlier
          WHERE earlier.task_id = callback.task_id AND earlier.seq < callback.seq AND earlier.status = 'PENDING')
      ORDER BY next_attempt_at LIMIT greatest(room.attempts, 0)
      FOR UPDATE SKIP LOCKED
    ) candidate
    ORDER BY candidate.next_attempt_at LIMIT $3
  )
  UPDATE outgoing_callbacks callback
  SET attempts = callback.attempts + 1, next_attempt_at = now() + make_interval(secs => $4 / 1000.0)
  FROM due, tasks task, workspaces workspace
  WHERE callback.id = due.id AND task.id = callback.task_id AND workspace.id = callback.workspace_id
  RETURNING callback.id, callback.workspace_id AS "workspaceId", callback.task_id AS "taskId", callback.kind,
            callback.receiver, task.callback_url AS url, callback.attempts AS attempt,
            callback.attempts - callback.attempts_before AS "attemptOfRound",
            workspace.webhook_secret_version AS "secretVersion",
            coalesce(workspace.webhook_overlap_until > now(), false) AS "secretsOverlap"`,
};

/** One attempt's end. Nothing changes for a callback that another attempt has ended, or was taken over from this one. */
const FINISH = {
  name: 'finish-delivery',
  text: `
  WITH callback AS (
    UPDATE outgoing_callbacks
    SET status = $3::outgoing_callback_status, next_attempt_at = coalesce($4, next_attempt_at)
    WHERE id = $1 AND status = 'PENDING' AND ($3 = 'DELIVERED' OR attempts = $2)
    RETURNING workspace_id, task_id
  ), delivery AS (
    INSERT INTO deliveries (id, callback_id, task_id, workspace_id, attempt, at, status_code, failure, latency_ms, answer,
                            next_attempt_at)
    SELECT $5, id, task_id, workspace_id, $2, $6, $7, $8, $9, $10, $4 FROM outgoing_callbacks WHERE id = $1
    ON CONFLICT (id) DO NOTHING
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data)
    SELECT workspace_id, task_id, $11, $12, $13::jsonb FROM callback WHERE $11::text IS NOT NULL
  )
  SELECT count(*)::int AS changed FROM callback`,
};

const REDELIVER = {
  name: 'redeliver-callbacks',
  text: `
  WITH callback AS (
    UPDATE outgoing_callbacks SET status = 'PENDING', next_attempt_at = now(), attempts_before = attempts
    WHERE workspace_id = $1 AND task_id = $2 RETURNING task_id
  ), wake AS (
    SELECT graphile_worker.add_job('deliver-callback', json_build_object('taskId', task_id))
    FROM (SELECT DISTINCT task_id FROM callback) task
  ),${audited('$3', 'callback')}
  SELECT (SELECT count(*) FROM callback)::int AS callbacks, (SELECT count(*) FROM wake) AS woken`,
};

const PAGE_OF_DELIVERIES = {
  name: 'page-of-deliveries',
  text: `
  SELECT id, callback_id AS "webhookId", task_id AS "taskId", attempt, at, status_code AS "statusCode", failure,
         latency_ms AS "latencyMs", answer, next_attempt_at AS "nextAttemptAt"
  FROM deliveries WHERE task_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`,
};

/** A callback, and what it is to be signed with. */
export interface ClaimedCallback extends OutgoingCallback {
  secretVersion: number;
  /** Whether receivers may still have the secret before. */
  secretsOverlap: boolean;
}

/** How an attempt ended, and what is told of it. */
export interface DeliveryEnd {
  status: 'PENDING' | 'DELIVERED' | 'ABANDONED';
  delivery: Omit<Delivery, 'webhookId' | 'taskId'>;
  event:
    | {
        [Type in 'CALLBACK_DELIVERED' | 'CALLBACK_ABANDONED']: {
          type: Type;
          actor: string;
          data: EventData[Type];
        };
      }['CALLBACK_DELIVERED' | 'CALLBACK_ABANDONED']
    | null;
}

/** The rows of `outgoing_callbacks` and of `deliveries`. The statements that settle a task add the former. */
export class OutgoingCallbacks {
  constructor(private readonly db: Database) {}

  /**
   * Up to `limit` callbacks that are due. `busy`: attempts that a receiver has under way here; each may have `perReceiver`.
   * One whose end is not written down within `leaseMs` is due again.
   */
  async claim(
    busy: Readonly<Record<string, number>>,
    perReceiver: number,
    limit: number,
    leaseMs: number,
  ): Promise<ClaimedCallback[]> {
    return this.db.run<ClaimedCallback>(CLAIM, [JSON.stringify(busy), perReceiver, limit, leaseMs]);
  }

  /** Writes down how an attempt ended. Safe to repeat. */
  async finish(callbackId: string, { status, delivery, event }: DeliveryEnd): Promise<void> {
    const { id, attempt, at, statusCode, failure, latencyMs, answer, nextAttemptAt } = delivery;
    const told = [event?.type ?? null, event?.actor ?? null, event ? JSON.stringify(event.data) : null];
    const facts = [id, at, statusCode, failure, latencyMs, answer];
    await this.db.run(FINISH, [callbackId, attempt, status, nextAttemptAt, ...facts, ...told]);
  }

  /** Makes the task's callbacks due again, with all their attempts before them; how many there are. */
  async redeliver(workspaceId: string, taskId: string, audit: NewAuditEntry): Promise<number> {
    const values = [workspaceId, taskId, auditValue(audit)];
    const [row] = await this.db.run<{ callbacks: number }>(REDELIVER, values);
    return row?.callbacks ?? 0;
  }

  /** A page of a task's attempts, newest first, below `before`. */
  async pageOfDeliveries(taskId: string, before: string | null, limit: number): Promise<Delivery[]> {
    return this.db.run<Delivery>(PAGE_OF_DELIVERIES, [taskId, before, limit]);
  }
}
