import { type NewAuditEntry } from '../../core/access/audit-entry.js';
import { type EventData } from '../../core/events/task-event.js';
import { minIdAt } from '../../core/primitives/ids.js';
import {
  type WebhookAttempt,
  type WebhookDelivery,
  type WebhookDeliveryStatus,
  type WebhookDeliverySummary,
} from '../../core/webhooks/webhook-delivery.js';
import { insertAuditSql, auditParameter } from '../access/audit-repository.js';
import { type Database } from '../postgres/database.js';

/**
 * Claims due deliveries: for each endpoint as many as it has capacity for, the oldest first. Endpoints that have accepted a
 * webhook before come first. While an attempt is in progress, `next_attempt_at` is the time when its process counts as dead.
 *
 * The recursive CTE visits endpoints by an index, one lookup each, so that a long backlog of one endpoint does not slow down
 * the others. The second delivery of a task waits until its first is delivered or abandoned. Only claimed rows are locked.
 * Joined rows are looked up one by one, because the planner cannot know how few they are and would read all of `tasks`.
 * Times are rounded to milliseconds, so a delivery that is due now can appear half a millisecond early.
 */
const CLAIM = {
  name: 'claim-webhook-deliveries',
  text: `
  WITH RECURSIVE endpoints AS (
    (SELECT endpoint FROM webhook_deliveries WHERE status = 'PENDING' ORDER BY endpoint LIMIT 1)
    UNION ALL
    SELECT (SELECT next.endpoint FROM webhook_deliveries next
            WHERE next.status = 'PENDING' AND next.endpoint > endpoints.endpoint ORDER BY next.endpoint LIMIT 1)
    FROM endpoints WHERE endpoints.endpoint IS NOT NULL
  ), capacity AS (
    SELECT endpoints.endpoint, known.value IS NOT NULL AS known, least(coalesce(known.value::int, 1), $2) AS attempts
    FROM endpoints LEFT JOIN jsonb_each_text($1::jsonb) known ON known.key = endpoints.endpoint
  ), chosen AS (
    SELECT candidate.id FROM capacity CROSS JOIN LATERAL (
      SELECT id, next_attempt_at FROM webhook_deliveries delivery
      WHERE endpoint = capacity.endpoint AND status = 'PENDING' AND next_attempt_at <= now() + interval '1 ms'
        AND (kind = 'RESULT' OR NOT EXISTS (
          SELECT FROM webhook_deliveries earlier
          WHERE earlier.task_id = delivery.task_id AND earlier.seq < delivery.seq AND earlier.status = 'PENDING'))
      ORDER BY next_attempt_at LIMIT capacity.attempts
    ) candidate
    ORDER BY capacity.known DESC, candidate.next_attempt_at LIMIT $2
  ), due AS (
    SELECT id FROM webhook_deliveries
    WHERE id = ANY (ARRAY(SELECT id FROM chosen)) AND status = 'PENDING' AND next_attempt_at <= now() + interval '1 ms'
    FOR UPDATE SKIP LOCKED
  )
  UPDATE webhook_deliveries delivery
  SET attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => $3 / 1000.0)
  WHERE id = ANY (ARRAY(SELECT id FROM due))
  RETURNING id, workspace_id AS "workspaceId", task_id AS "taskId", kind, endpoint, attempts AS "attemptNumber",
            attempts - attempts_before_redelivery AS "attemptSinceRedelivery",
            (SELECT webhook_url FROM tasks WHERE tasks.id = task_id) AS url,
            (SELECT webhook_secret_version FROM workspaces WHERE workspaces.id = workspace_id) AS "secretVersion",
            (SELECT coalesce(webhook_previous_secret_expires_at > now(), false) FROM workspaces
             WHERE workspaces.id = workspace_id) AS "usesPreviousSecret"`,
};

/**
 * Records the result of one attempt. The delivery does not change if another attempt has ended it. A failure does not change
 * it either if another attempt has begun or a redelivery was requested meanwhile: that one decides what comes next.
 */
const RECORD_ATTEMPT = {
  name: 'record-webhook-attempt',
  text: `
  WITH delivery AS (
    UPDATE webhook_deliveries
    SET status = $3::webhook_delivery_status, next_attempt_at = coalesce($4, next_attempt_at)
    WHERE id = $1 AND status = 'PENDING'
      AND ($3 = 'DELIVERED' OR attempts = $2 AND attempts - attempts_before_redelivery = $14)
    RETURNING workspace_id, task_id
  ), attempt AS (
    INSERT INTO webhook_attempts (id, delivery_id, task_id, workspace_id, attempt_number, at, status_code, error_message,
                                  latency_ms, response_body, next_attempt_at)
    SELECT $5, id, task_id, workspace_id, $2, $6, $7, $8, $9, $10, CASE WHEN EXISTS (SELECT FROM delivery) THEN $4 END
    FROM webhook_deliveries WHERE id = $1
    ON CONFLICT (id) DO NOTHING
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data)
    SELECT workspace_id, task_id, $11, $12, $13::jsonb FROM delivery WHERE $11::text IS NOT NULL
  )
  SELECT count(*)::int AS changed FROM delivery`,
};

const RELEASE_CLAIMS = {
  name: 'release-webhook-claims',
  text: `
  UPDATE webhook_deliveries delivery SET next_attempt_at = now()
  FROM unnest($1::uuid[], $2::int[]) AS interrupted(id, attempt_number)
  WHERE delivery.id = interrupted.id AND delivery.attempts = interrupted.attempt_number AND delivery.status = 'PENDING'`,
};

const REDELIVER = {
  name: 'redeliver-webhooks',
  text: `
  WITH delivery AS (
    UPDATE webhook_deliveries SET status = 'PENDING', next_attempt_at = now(), attempts_before_redelivery = attempts
    WHERE workspace_id = $1 AND task_id = $2 RETURNING task_id
  ), wake AS (
    SELECT graphile_worker.add_job('deliver-webhook', json_build_object('taskId', task_id))
    FROM (SELECT DISTINCT task_id FROM delivery) task
  ),${insertAuditSql('$3', 'delivery')}
  SELECT (SELECT count(*) FROM delivery)::int AS "deliveryCount", (SELECT count(*) FROM wake) AS woken`,
};

const PAGE_OF_DELIVERIES = {
  name: 'page-of-webhook-deliveries',
  text: `
  SELECT id, workspace_id AS "workspaceId", task_id AS "taskId", kind, status, created_at AS "createdAt",
         CASE WHEN status = 'PENDING' THEN next_attempt_at END AS "nextAttemptAt", attempts AS "attemptCount"
  FROM webhook_deliveries
  WHERE workspace_id = $1 AND task_id = $2
    AND ($3::uuid IS NULL OR seq < (SELECT seq FROM webhook_deliveries WHERE id = $3 AND task_id = $2))
  ORDER BY seq DESC LIMIT $4`,
};

/** `task_id` selects the index. A task has few deliveries, so that `delivery_id` needs none. */
const PAGE_OF_ATTEMPTS = {
  name: 'page-of-webhook-attempts',
  text: `
  SELECT id, attempt_number AS "attemptNumber", at, status_code AS "statusCode", error_message AS "errorMessage",
         latency_ms AS "latencyMs", response_body AS "responseBody", next_attempt_at AS "nextAttemptAt"
  FROM webhook_attempts
  WHERE workspace_id = $1 AND task_id = $2 AND delivery_id = $3 AND ($4::uuid IS NULL OR id < $4)
  ORDER BY id DESC LIMIT $5`,
};

/** Keeps all attempts of a delivery that is still pending, however old they are. */
const DELETE_OLD_ATTEMPTS = {
  name: 'delete-old-webhook-attempts',
  text: `
  DELETE FROM webhook_attempts WHERE id IN (
    SELECT attempt.id FROM webhook_attempts attempt
    WHERE attempt.id < $1
      AND NOT EXISTS (
        SELECT FROM webhook_deliveries delivery WHERE delivery.id = attempt.delivery_id AND delivery.status = 'PENDING')
    ORDER BY attempt.id LIMIT $2)
  RETURNING id`,
};

/** A delivery whose next attempt is ours, with the secret to sign it with. */
export interface ClaimedWebhookDelivery extends WebhookDelivery {
  secretVersion: number;
  /** Whether to sign with the previous secret too. */
  usesPreviousSecret: boolean;
}

/** The result of an attempt, and the event to write about it. */
export interface WebhookAttemptResult {
  status: WebhookDeliveryStatus;
  attempt: WebhookAttempt;
  event:
    | {
        [Type in 'WEBHOOK_DELIVERED' | 'WEBHOOK_ABANDONED']: {
          type: Type;
          actor: string;
          data: EventData[Type];
        };
      }['WEBHOOK_DELIVERED' | 'WEBHOOK_ABANDONED']
    | null;
}

/** The rows of `webhook_deliveries` and `webhook_attempts`. The statements that settle a task insert the deliveries. */
export class WebhookRepository {
  constructor(private readonly db: Database) {}

  /**
   * Claims up to `limit` due deliveries. `capacityByEndpoint` holds the number of further attempts that each endpoint allows.
   * An endpoint that is not in it allows 1. A delivery whose attempt is not recorded within `leaseMs` is due again.
   */
  async claim(
    capacityByEndpoint: Readonly<Record<string, number>>,
    limit: number,
    leaseMs: number,
  ): Promise<ClaimedWebhookDelivery[]> {
    return this.db.run<ClaimedWebhookDelivery>(CLAIM, [JSON.stringify(capacityByEndpoint), limit, leaseMs]);
  }

  /** Records the result of an attempt. Safe to repeat. */
  async recordAttempt(
    delivery: Pick<ClaimedWebhookDelivery, 'id' | 'attemptNumber' | 'attemptSinceRedelivery'>,
    { status, attempt, event }: WebhookAttemptResult,
  ): Promise<void> {
    const { id, at, statusCode, errorMessage, latencyMs, responseBody, nextAttemptAt } = attempt;
    const attemptValues = [id, at, statusCode, errorMessage, latencyMs, responseBody];
    const eventValues = [
      event?.type ?? null,
      event?.actor ?? null,
      event ? JSON.stringify(event.data) : null,
    ];
    await this.db.run(RECORD_ATTEMPT, [
      delivery.id,
      delivery.attemptNumber,
      status,
      nextAttemptAt,
      ...attemptValues,
      ...eventValues,
      delivery.attemptSinceRedelivery,
    ]);
  }

  /** Makes deliveries due again whose attempts were interrupted. */
  async releaseClaims(
    interrupted: readonly Pick<ClaimedWebhookDelivery, 'id' | 'attemptNumber'>[],
  ): Promise<void> {
    const ids = interrupted.map(({ id }) => id);
    const attemptNumbers = interrupted.map(({ attemptNumber }) => attemptNumber);
    await this.db.run(RELEASE_CLAIMS, [ids, attemptNumbers]);
  }

  /** Makes all deliveries of the task due again, with all attempts ahead of them. Returns the number of deliveries. */
  async redeliver(workspaceId: string, taskId: string, audit: NewAuditEntry): Promise<number> {
    const values = [workspaceId, taskId, auditParameter(audit)];
    const [row] = await this.db.run<{ deliveryCount: number }>(REDELIVER, values);
    return row?.deliveryCount ?? 0;
  }

  /** A page of the deliveries of a task of the workspace, newest first, older than the delivery `before`. */
  async pageOfDeliveries(
    workspaceId: string,
    taskId: string,
    before: string | null,
    limit: number,
  ): Promise<WebhookDeliverySummary[]> {
    const values = [workspaceId, taskId, before, limit];
    return this.db.runAsCaller<WebhookDeliverySummary>(workspaceId, PAGE_OF_DELIVERIES, values);
  }

  /** A page of the attempts of a delivery, newest first, older than the attempt `before`. */
  async pageOfAttempts(
    { id, workspaceId, taskId }: Pick<WebhookDeliverySummary, 'id' | 'workspaceId' | 'taskId'>,
    before: string | null,
    limit: number,
  ): Promise<WebhookAttempt[]> {
    const values = [workspaceId, taskId, id, before, limit];
    return this.db.runAsCaller<WebhookAttempt>(workspaceId, PAGE_OF_ATTEMPTS, values);
  }

  /** Deletes up to `limit` attempts from before `time` whose delivery is not pending. Returns the number of deleted attempts. */
  async deleteAttemptsBefore(time: Date, limit: number): Promise<number> {
    return (await this.db.run(DELETE_OLD_ATTEMPTS, [minIdAt(time), limit])).length;
  }
}
