import { type NewAuditEntry } from '../../core/access/audit-entry.js';
import { type EventData } from '../../core/events/task-event.js';
import { firstIdAt } from '../../core/primitives/ids.js';
import { type Delivery, type OutgoingCallback } from '../../core/webhooks/webhook-delivery.js';
import { audited, auditValue } from '../access/audit-repository.js';
import { type Database } from '../postgres/database.js';

/**
 * Takes what is due, for as many attempts as each receiver has room for, oldest first, those that are known to answer
 * before the others; `next_attempt_at` is when the attempt counts as given up. Receivers are walked by the index, one
 * look each, so that a long line before one of them costs the others nothing. A task's second callback waits until its
 * first is delivered or abandoned. Only what is taken is locked, and whatever is joined is looked up row by row: the
 * planner cannot know how few they are, and would read the whole of `tasks` for them. Times are kept in milliseconds,
 * rounded: what is due now can be half a millisecond ahead, and would wait for the next look.
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
    SELECT receivers.receiver, known.value IS NOT NULL AS known, least(coalesce(known.value::int, 1), $2) AS attempts
    FROM receivers LEFT JOIN jsonb_each_text($1::jsonb) known ON known.key = receivers.receiver
  ), chosen AS (
    SELECT candidate.id FROM room CROSS JOIN LATERAL (
      SELECT id, next_attempt_at FROM outgoing_callbacks callback
      WHERE receiver = room.receiver AND status = 'PENDING' AND next_attempt_at <= now() + interval '1 ms'
        AND (kind = 'RESULT' OR NOT EXISTS (
          SELECT FROM outgoing_callbacks earlier
          WHERE earlier.task_id = callback.task_id AND earlier.seq < callback.seq AND earlier.status = 'PENDING'))
      ORDER BY next_attempt_at LIMIT room.attempts
    ) candidate
    ORDER BY room.known DESC, candidate.next_attempt_at LIMIT $2
  ), due AS (
    SELECT id FROM outgoing_callbacks
    WHERE id = ANY (ARRAY(SELECT id FROM chosen)) AND status = 'PENDING' AND next_attempt_at <= now() + interval '1 ms'
    FOR UPDATE SKIP LOCKED
  )
  UPDATE outgoing_callbacks callback
  SET attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => $3 / 1000.0)
  WHERE id = ANY (ARRAY(SELECT id FROM due))
  RETURNING id, workspace_id AS "workspaceId", task_id AS "taskId", kind, receiver, attempts AS attempt,
            attempts - attempts_before AS "attemptOfRound",
            (SELECT callback_url FROM tasks WHERE tasks.id = task_id) AS url,
            (SELECT webhook_secret_version FROM workspaces WHERE workspaces.id = workspace_id) AS "secretVersion",
            (SELECT coalesce(webhook_overlap_until > now(), false) FROM workspaces
             WHERE workspaces.id = workspace_id) AS "secretsOverlap"`,
};

/**
 * One attempt's end. Nothing changes for a callback that another attempt has ended. A failure changes nothing either once
 * another attempt was begun or another round was asked for: that one decides what comes next.
 */
const FINISH = {
  name: 'finish-delivery',
  text: `
  WITH callback AS (
    UPDATE outgoing_callbacks
    SET status = $3::outgoing_callback_status, next_attempt_at = coalesce($4, next_attempt_at)
    WHERE id = $1 AND status = 'PENDING' AND ($3 = 'DELIVERED' OR attempts = $2 AND attempts - attempts_before = $14)
    RETURNING workspace_id, task_id
  ), delivery AS (
    INSERT INTO deliveries (id, callback_id, task_id, workspace_id, attempt, at, status_code, failure, latency_ms, answer,
                            next_attempt_at)
    SELECT $5, id, task_id, workspace_id, $2, $6, $7, $8, $9, $10, CASE WHEN EXISTS (SELECT FROM callback) THEN $4 END
    FROM outgoing_callbacks WHERE id = $1
    ON CONFLICT (id) DO NOTHING
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data)
    SELECT workspace_id, task_id, $11, $12, $13::jsonb FROM callback WHERE $11::text IS NOT NULL
  )
  SELECT count(*)::int AS changed FROM callback`,
};

const HAND_BACK = {
  name: 'hand-back-callbacks',
  text: `
  UPDATE outgoing_callbacks callback SET next_attempt_at = now()
  FROM unnest($1::uuid[], $2::int[]) AS cut(id, attempt)
  WHERE callback.id = cut.id AND callback.attempts = cut.attempt AND callback.status = 'PENDING'`,
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
  FROM deliveries
  WHERE workspace_id = $1 AND task_id = $2 AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4`,
};

/** Those of a callback that is to be posted again are of its story still, however old. */
const FORGET_DELIVERIES = {
  name: 'forget-deliveries',
  text: `
  DELETE FROM deliveries WHERE id IN (
    SELECT delivery.id FROM deliveries delivery
    WHERE delivery.id < $1
      AND NOT EXISTS (SELECT FROM outgoing_callbacks callback WHERE callback.id = delivery.callback_id AND callback.status = 'PENDING')
    ORDER BY delivery.id LIMIT $2)
  RETURNING id`,
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
   * Up to `limit` callbacks that are due. `room`: how many each receiver may have more; one that is not named, 1. One
   * whose end is not written down within `leaseMs` is due again.
   */
  async claim(
    room: Readonly<Record<string, number>>,
    limit: number,
    leaseMs: number,
  ): Promise<ClaimedCallback[]> {
    return this.db.run<ClaimedCallback>(CLAIM, [JSON.stringify(room), limit, leaseMs]);
  }

  /** Writes down how an attempt ended. Safe to repeat. */
  async finish(
    { id: callbackId, attempt, attemptOfRound }: Pick<ClaimedCallback, 'id' | 'attempt' | 'attemptOfRound'>,
    { status, delivery, event }: DeliveryEnd,
  ): Promise<void> {
    const { id, at, statusCode, failure, latencyMs, answer, nextAttemptAt } = delivery;
    const told = [event?.type ?? null, event?.actor ?? null, event ? JSON.stringify(event.data) : null];
    const facts = [id, at, statusCode, failure, latencyMs, answer];
    const values = [callbackId, attempt, status, nextAttemptAt, ...facts, ...told, attemptOfRound];
    await this.db.run(FINISH, values);
  }

  /** Makes callbacks due again whose attempts were cut. */
  async handBack(cut: readonly Pick<ClaimedCallback, 'id' | 'attempt'>[]): Promise<void> {
    await this.db.run(HAND_BACK, [cut.map(({ id }) => id), cut.map(({ attempt }) => attempt)]);
  }

  /** Makes the task's callbacks due again, with all their attempts before them; how many there are. */
  async redeliver(workspaceId: string, taskId: string, audit: NewAuditEntry): Promise<number> {
    const values = [workspaceId, taskId, auditValue(audit)];
    const [row] = await this.db.run<{ callbacks: number }>(REDELIVER, values);
    return row?.callbacks ?? 0;
  }

  /** A page of the attempts for a task of the workspace, newest first, below `before`. */
  async pageOfDeliveries(
    workspaceId: string,
    taskId: string,
    before: string | null,
    limit: number,
  ): Promise<Delivery[]> {
    return this.db.within<Delivery>(workspaceId, PAGE_OF_DELIVERIES, [workspaceId, taskId, before, limit]);
  }

  /** Deletes up to `limit` attempts from before `time` of callbacks that are delivered or abandoned; how many it deleted. */
  async forgetDeliveriesBefore(time: Date, limit: number): Promise<number> {
    return (await this.db.run(FORGET_DELIVERIES, [firstIdAt(time), limit])).length;
  }
}
