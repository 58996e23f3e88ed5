import { type NewAuditEntry } from '../../core/access/audit-entry.js';
import { type EventType, type NewTaskEvent } from '../../core/events/task-event.js';
import { minIdAt } from '../../core/primitives/ids.js';
import {
  type WebhookAttempt,
  type WebhookDelivery,
  type WebhookDeliveryStatus,
  type WebhookDeliverySummary,
} from '../../core/webhooks/webhook-delivery.js';
import { insertAuditSql, auditParameter } from '../access/audit-repository.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/**
 * Claims due deliveries: for each endpoint as many as it has capacity for, the oldest first. Endpoints that have accepted a
 * webhook before come first. While an attempt is in progress, `next_attempt_at` is the time when its process counts as dead.
 *
 * The recursive CTE visits endpoints by an index, one lookup each, so that a long backlog of one endpoint does not slow down
 * the others. The second delivery of a task waits until its first is delivered or abandoned. Only claimed rows are locked.
 * Joined rows are looked up one by one, because the planner cannot know how few they are and would read all of `tasks`.
 * Times are rounded to milliseconds, so a delivery that is due now can appear half a millisecond early.
 */
const CLAIM = statement<{ capacities: string; limit: number; leaseMs: number }, ClaimedWebhookDelivery>(
  'claim-webhook-deliveries',
  `
  WITH RECURSIVE endpoints AS (
    (SELECT endpoint FROM webhook_deliveries WHERE status = 'PENDING' ORDER BY endpoint LIMIT 1)
    UNION ALL
    SELECT (SELECT next.endpoint FROM webhook_deliveries next
            WHERE next.status = 'PENDING' AND next.endpoint > endpoints.endpoint ORDER BY next.endpoint LIMIT 1)
    FROM endpoints WHERE endpoints.endpoint IS NOT NULL
  ), capacity AS (
    SELECT endpoints.endpoint, known.value IS NOT NULL AS known, least(coalesce(known.value::int, 1), :limit) AS attempts
    FROM endpoints LEFT JOIN jsonb_each_text(:capacities::jsonb) known ON known.key = endpoints.endpoint
  ), chosen AS (
    SELECT candidate.id FROM capacity CROSS JOIN LATERAL (
      SELECT id, next_attempt_at FROM webhook_deliveries delivery
      WHERE endpoint = capacity.endpoint AND status = 'PENDING' AND next_attempt_at <= now() + interval '1 ms'
        AND (kind = 'RESULT' OR NOT EXISTS (
          SELECT FROM webhook_deliveries earlier
          WHERE earlier.task_id = delivery.task_id AND earlier.seq < delivery.seq AND earlier.status = 'PENDING'))
      ORDER BY next_attempt_at LIMIT capacity.attempts
    ) candidate
    ORDER BY capacity.known DESC, candidate.next_attempt_at LIMIT :limit
  ), due AS (
    SELECT id FROM webhook_deliveries
    WHERE id = ANY (ARRAY(SELECT id FROM chosen)) AND status = 'PENDING' AND next_attempt_at <= now() + interval '1 ms'
    FOR UPDATE SKIP LOCKED
  )
  UPDATE webhook_deliveries delivery
  SET attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => :leaseMs / 1000.0)
  WHERE id = ANY (ARRAY(SELECT id FROM due))
  RETURNING id, workspace_id AS "workspaceId", task_id AS "taskId", kind, endpoint, attempts AS "attemptNumber",
            attempts - attempts_before_redelivery AS "attemptSinceRedelivery",
            (SELECT webhook_url FROM tasks WHERE tasks.id = task_id) AS url,
            (SELECT webhook_secret_version FROM workspaces WHERE workspaces.id = workspace_id) AS "secretVersion",
            (SELECT coalesce(webhook_previous_secret_expires_at > now(), false) FROM workspaces
             WHERE workspaces.id = workspace_id) AS "usesPreviousSecret"`,
);

/**
 * Records the result of one attempt. The delivery does not change if another attempt has ended it. A failure does not change
 * it either if another attempt has begun or a redelivery was requested meanwhile: that one decides what comes next.
 */
const RECORD_ATTEMPT = statement<
  Omit<WebhookAttempt, 'id' | 'nextAttemptAt'> & {
    deliveryId: string;
    retryDelayMs: number | null;
    attemptSinceRedelivery: number;
    status: WebhookDeliveryStatus;
    attemptId: string;
    eventType: EventType | null;
    actor: string | null;
    eventData: string | null;
  }
>(
  'record-webhook-attempt',
  `
  WITH delivery AS (
    UPDATE webhook_deliveries
    SET status = :status::webhook_delivery_status,
        next_attempt_at = coalesce(now() + make_interval(secs => :retryDelayMs::double precision / 1000), next_attempt_at)
    WHERE id = :deliveryId AND status = 'PENDING'
      AND (:status = 'DELIVERED'
           OR attempts = :attemptNumber AND attempts - attempts_before_redelivery = :attemptSinceRedelivery)
    RETURNING workspace_id, task_id, next_attempt_at
  ), attempt AS (
    INSERT INTO webhook_attempts (id, delivery_id, task_id, workspace_id, attempt_number, at, status_code, error_message,
                                  latency_ms, response_body, next_attempt_at)
    SELECT :attemptId, id, task_id, workspace_id, :attemptNumber, :at, :statusCode, :errorMessage, :latencyMs,
           :responseBody, CASE WHEN :retryDelayMs::double precision IS NOT NULL THEN (SELECT next_attempt_at FROM delivery) END
    FROM webhook_deliveries WHERE id = :deliveryId
    ON CONFLICT (id) DO NOTHING
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data)
    SELECT workspace_id, task_id, :eventType, :actor, :eventData::jsonb FROM delivery WHERE :eventType::text IS NOT NULL
  )
  SELECT count(*)::int AS changed FROM delivery`,
);

const RELEASE_CLAIMS = statement<{ ids: string[]; attemptNumbers: number[] }>(
  'release-webhook-claims',
  `
  UPDATE webhook_deliveries delivery SET next_attempt_at = now()
  FROM unnest(:ids::uuid[], :attemptNumbers::int[]) AS interrupted(id, attempt_number)
  WHERE delivery.id = interrupted.id AND delivery.attempts = interrupted.attempt_number AND delivery.status = 'PENDING'`,
);

const REDELIVER = statement<
  { workspaceId: string; taskId: string; audit: string },
  { deliveryCount: number }
>(
  'redeliver-webhooks',
  `
  WITH delivery AS (
    UPDATE webhook_deliveries SET status = 'PENDING', next_attempt_at = now(), attempts_before_redelivery = attempts
    WHERE workspace_id = :workspaceId AND task_id = :taskId RETURNING task_id
  ), wake AS (
    SELECT enqueue_job('deliver-webhook', json_build_object('taskId', task_id))
    FROM (SELECT DISTINCT task_id FROM delivery) task
  ),${insertAuditSql('delivery')}
  SELECT (SELECT count(*) FROM delivery)::int AS "deliveryCount", (SELECT count(*) FROM wake) AS woken`,
);

/** A page of the deliveries of a task, newest first, older than the one with the ID `before`. */
interface Page {
  workspaceId: string;
  taskId: string;
  before: string | null;
  limit: number;
}
const PAGE_OF_DELIVERIES = statement<Page, WebhookDeliverySummary>(
  'page-of-webhook-deliveries',
  `
  SELECT id, workspace_id AS "workspaceId", task_id AS "taskId", kind, status, created_at AS "createdAt",
         CASE WHEN status = 'PENDING' THEN next_attempt_at END AS "nextAttemptAt", attempts AS "attemptCount"
  FROM webhook_deliveries
  WHERE workspace_id = :workspaceId AND task_id = :taskId
    AND (:before::uuid IS NULL OR seq < (SELECT seq FROM webhook_deliveries WHERE id = :before AND task_id = :taskId))
  ORDER BY seq DESC LIMIT :limit`,
);

/** Keeps all attempts of a delivery that is still pending, however old they are. */
const DELETE_OLD_ATTEMPTS = statement<{ beforeId: string; limit: number }>(
  'delete-old-webhook-attempts',
  `
  DELETE FROM webhook_attempts WHERE id IN (
    SELECT attempt.id FROM webhook_attempts attempt
    WHERE attempt.id < :beforeId
      AND NOT EXISTS (
        SELECT FROM webhook_deliveries delivery WHERE delivery.id = attempt.delivery_id AND delivery.status = 'PENDING')
    ORDER BY attempt.id LIMIT :limit)
  RETURNING id`,
);

/** `next_attempt_at` of a settled delivery is about the time of its last attempt. A redelivery makes it pending again. */
const DELETE_SETTLED = statement<{ days: number; limit: number }, { id: string }>(
  'delete-settled-webhook-deliveries',
  `
  DELETE FROM webhook_deliveries WHERE id IN (
    SELECT id FROM webhook_deliveries
    WHERE status <> 'PENDING' AND next_attempt_at < now() - make_interval(days => :days)
    ORDER BY next_attempt_at LIMIT :limit FOR UPDATE SKIP LOCKED)
  RETURNING id`,
);

/** A delivery whose next attempt is ours, with the secret to sign it with. */
export interface ClaimedWebhookDelivery extends WebhookDelivery {
  secretVersion: number;
  /** Whether to sign with the previous secret too. */
  usesPreviousSecret: boolean;
}

/** The result of an attempt, and the event to write about it. */
export interface WebhookAttemptResult {
  status: WebhookDeliveryStatus;
  attempt: Omit<WebhookAttempt, 'nextAttemptAt'>;
  /** Time until the next attempt, by PostgreSQL's clock. Null when none follows. */
  retryDelayMs: number | null;
  event: NewTaskEvent<'WEBHOOK_DELIVERED'> | NewTaskEvent<'WEBHOOK_ABANDONED'> | null;
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
    return this.db.query(CLAIM, { capacities: JSON.stringify(capacityByEndpoint), limit, leaseMs });
  }

  /** Records the result of an attempt. Safe to repeat. */
  async recordAttempt(
    delivery: Pick<ClaimedWebhookDelivery, 'id' | 'attemptNumber' | 'attemptSinceRedelivery'>,
    { status, attempt, retryDelayMs, event }: WebhookAttemptResult,
  ): Promise<void> {
    await this.db.query(RECORD_ATTEMPT, {
      ...attempt,
      attemptId: attempt.id,
      deliveryId: delivery.id,
      attemptNumber: delivery.attemptNumber,
      attemptSinceRedelivery: delivery.attemptSinceRedelivery,
      status,
      retryDelayMs,
      eventType: event?.type ?? null,
      actor: event?.actor ?? null,
      eventData: event ? JSON.stringify(event.data) : null,
    });
  }

  /** Makes deliveries due again whose attempts were interrupted. */
  async releaseClaims(
    interrupted: readonly Pick<ClaimedWebhookDelivery, 'id' | 'attemptNumber'>[],
  ): Promise<void> {
    await this.db.query(RELEASE_CLAIMS, {
      ids: interrupted.map(({ id }) => id),
      attemptNumbers: interrupted.map(({ attemptNumber }) => attemptNumber),
    });
  }

  /** Makes all deliveries of the task due again, with all attempts ahead of them. Returns the number of deliveries. */
  async redeliver(workspaceId: string, taskId: string, audit: NewAuditEntry): Promise<number> {
    const [row] = await this.db.query(REDELIVER, { workspaceId, taskId, audit: auditParameter(audit) });
    return row?.deliveryCount ?? 0;
  }

  /** A page of the deliveries of a task of the workspace, newest first, older than the delivery `before`. */
  async pageOfDeliveries(
    { workspaceId, taskId }: { workspaceId: string; taskId: string },
    before: string | null,
    limit: number,
  ): Promise<WebhookDeliverySummary[]> {
    const page = { workspaceId, taskId, before, limit };
    return this.db.queryAsCaller(workspaceId, PAGE_OF_DELIVERIES, page);
  }

  /** A page of the attempts of a delivery, newest first, older than the attempt `before`. */
  async pageOfAttempts(
    { id, workspaceId, taskId }: Pick<WebhookDeliverySummary, 'id' | 'workspaceId' | 'taskId'>,
    before: string | null,
    limit: number,
  ): Promise<WebhookAttempt[]> {
    // `taskId` selects the index. A task has few deliveries, so `deliveryId` needs no index.
    const where = { workspaceId, taskId, deliveryId: id, ...(before !== null && { id: { lt: before } }) };
    const omit = { workspaceId: true, taskId: true, deliveryId: true };
    return this.db.withPrismaAsCaller(workspaceId, (prisma) =>
      prisma.webhookAttempt.findMany({ where, omit, orderBy: { id: 'desc' }, take: limit }),
    );
  }

  /** Deletes up to `limit` attempts from before `time` whose delivery is not pending. Returns the number of deleted attempts. */
  async deleteAttemptsBefore(time: Date, limit: number): Promise<number> {
    return (await this.db.query(DELETE_OLD_ATTEMPTS, { beforeId: minIdAt(time), limit })).length;
  }

  /** Deletes up to `limit` deliveries that were settled more than `days` ago. Returns the number of deleted deliveries. */
  async deleteSettled(days: number, limit: number): Promise<number> {
    return (await this.db.query(DELETE_SETTLED, { days, limit })).length;
  }
}
