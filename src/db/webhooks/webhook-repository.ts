import { type NewAuditEntry } from '../../core/access/audit-entry.js';
import { type EventType, type NewTaskEvent } from '../../core/events/task-event.js';
import { minIdAt } from '../../core/primitives/ids.js';
import {
  type WebhookAttempt,
  type WebhookDeliveryStatus,
  type WebhookDeliverySummary,
} from '../../core/webhooks/webhook-delivery.js';
import { insertAuditSql, auditParameter } from '../access/audit-repository.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';
import {
  CLAIM_WEBHOOK_DELIVERIES,
  type ClaimedWebhookDelivery,
  claimParameters,
  type WebhookClaim,
} from './webhook-claims.js';

/**
 * Records the result of one attempt. The delivery does not change if another attempt has ended it, or if a redelivery was
 * requested meanwhile. A failure does not change it either if another attempt has begun: that one decides what comes next. When the
 * delivery has ended, the next one of its task, which CLAIM_WEBHOOK_DELIVERIES may have postponed, is due.
 */
const RECORD_ATTEMPT = statement<
  Omit<WebhookAttempt, 'id' | 'nextAttemptAt'> & {
    deliveryId: string;
    retryDelayMs: number | null;
    countsAsFailure: boolean;
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
        failures = failures + :countsAsFailure::boolean::int,
        next_attempt_at = coalesce(now() + make_interval(secs => :retryDelayMs::double precision / 1000), next_attempt_at)
    WHERE id = :deliveryId AND status = 'PENDING'
      AND (:status = 'DELIVERED' AND :attemptNumber > attempts_before_redelivery
           OR attempts = :attemptNumber AND attempts - attempts_before_redelivery = :attemptSinceRedelivery)
    RETURNING workspace_id, task_id, seq, next_attempt_at
  ), next AS (
    UPDATE webhook_deliveries later SET next_attempt_at = now()
    WHERE :status <> 'PENDING' AND later.task_id = (SELECT task_id FROM delivery) AND later.seq > (SELECT seq FROM delivery)
      AND later.status = 'PENDING' AND later.attempts = later.attempts_before_redelivery
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

const RELEASE_CLAIMS = statement<{ ids: string[]; attemptNumbers: number[]; delayMs: number }>(
  'release-webhook-claims',
  `
  WITH released AS (
    SELECT delivery.id FROM unnest(:ids::uuid[], :attemptNumbers::int[]) AS interrupted(id, attempt_number)
    JOIN webhook_deliveries delivery ON delivery.id = interrupted.id
    WHERE delivery.attempts = interrupted.attempt_number AND delivery.status = 'PENDING'
    ORDER BY delivery.seq FOR UPDATE OF delivery
  )
  UPDATE webhook_deliveries SET next_attempt_at = now() + make_interval(secs => :delayMs::double precision / 1000.0)
  WHERE id = ANY (ARRAY(SELECT id FROM released))`,
);

const REDELIVER = statement<
  { workspaceId: string; taskId: string; audit: string },
  { deliveryCount: number }
>(
  'redeliver-webhooks',
  `
  WITH locked AS (
    SELECT id FROM webhook_deliveries WHERE workspace_id = :workspaceId AND task_id = :taskId ORDER BY seq FOR UPDATE
  ), delivery AS (
    UPDATE webhook_deliveries SET status = 'PENDING', next_attempt_at = now(), attempts_before_redelivery = attempts, failures = 0
    WHERE id IN (SELECT id FROM locked) RETURNING task_id
  ), wake AS (
    SELECT enqueue_job('deliver-webhook', json_build_object('taskId', task_id))
    FROM (SELECT DISTINCT task_id FROM delivery) task
  ),${insertAuditSql('delivery')}
  SELECT (SELECT count(*) FROM delivery)::int AS "deliveryCount", (SELECT count(*) FROM wake) AS woken`,
);

/** A page of the deliveries of a task, newest first, older than the one with the ID `before`. */
interface DeliveryPage {
  workspaceId: string;
  taskId: string;
  before: string | null;
  limit: number;
}
const PAGE_OF_DELIVERIES = statement<DeliveryPage, WebhookDeliverySummary>(
  'page-of-webhook-deliveries',
  `
  SELECT id, workspace_id AS "workspaceId", task_id AS "taskId", kind, status, created_at AS "createdAt",
         CASE WHEN status = 'PENDING' THEN next_attempt_at END AS "nextAttemptAt", attempts AS "attemptCount"
  FROM webhook_deliveries
  WHERE workspace_id = :workspaceId AND task_id = :taskId
    AND (:before::uuid IS NULL OR seq < (SELECT seq FROM webhook_deliveries WHERE id = :before AND task_id = :taskId))
  ORDER BY seq DESC LIMIT :limit`,
  { needsSlot: false },
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

/** The result of an attempt, and the event to write about it. */
export interface WebhookAttemptResult {
  status: WebhookDeliveryStatus;
  attempt: Omit<WebhookAttempt, 'nextAttemptAt'>;
  /** Time until the next attempt, by PostgreSQL's clock. Null when none follows. */
  retryDelayMs: number | null;
  /** Whether the attempt adds to the failures of the delivery. */
  countsAsFailure: boolean;
  event: NewTaskEvent<'WEBHOOK_DELIVERED'> | NewTaskEvent<'WEBHOOK_ABANDONED'> | null;
}

/** The rows of `webhook_deliveries` and `webhook_attempts`. The statements that settle a task insert the deliveries. */
export class WebhookRepository {
  constructor(private readonly db: Database) {}

  /** Claims due deliveries, up to `limit`. A delivery whose attempt is not recorded within `leaseMs` is due again. */
  async claim(claim: WebhookClaim): Promise<ClaimedWebhookDelivery[]> {
    return this.db.query(CLAIM_WEBHOOK_DELIVERIES, claimParameters(claim));
  }

  /** Records the result of an attempt. Safe to repeat. */
  async recordAttempt(
    delivery: Pick<ClaimedWebhookDelivery, 'id' | 'attemptNumber' | 'attemptSinceRedelivery'>,
    { status, attempt, retryDelayMs, countsAsFailure, event }: WebhookAttemptResult,
  ): Promise<void> {
    await this.db.query(RECORD_ATTEMPT, {
      ...attempt,
      attemptId: attempt.id,
      deliveryId: delivery.id,
      attemptNumber: delivery.attemptNumber,
      attemptSinceRedelivery: delivery.attemptSinceRedelivery,
      status,
      retryDelayMs,
      countsAsFailure,
      eventType: event?.type ?? null,
      actor: event?.actor ?? null,
      eventData: event ? JSON.stringify(event.data) : null,
    });
  }

  /** Makes deliveries due again whose attempts were interrupted, at once or after `delayMs`. */
  async releaseClaims(
    interrupted: readonly Pick<ClaimedWebhookDelivery, 'id' | 'attemptNumber'>[],
    delayMs = 0,
  ): Promise<void> {
    await this.db.query(RELEASE_CLAIMS, {
      delayMs,
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
    return this.db.queryAsCaller({ workspaceId }, PAGE_OF_DELIVERIES, page);
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
    return this.db.withPrismaAsCaller(
      { workspaceId },
      (prisma) => prisma.webhookAttempt.findMany({ where, omit, orderBy: { id: 'desc' }, take: limit }),
      { needsSlot: false },
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
