import { type WebhookDelivery } from '../../core/webhooks/webhook-delivery.js';
import { statement } from '../postgres/statement.js';

/** A delivery whose next attempt is ours, with the secret to sign it with. */
export interface ClaimedWebhookDelivery extends WebhookDelivery {
  secretVersion: number;
  /** Whether to sign with the previous secret too. */
  usesPreviousSecret: boolean;
}

/** An endpoint of a workspace that the instance knows, and the number of further attempts that it allows. */
export interface EndpointCapacity {
  workspaceId: string;
  endpoint: string;
  capacity: number;
}

export interface WebhookClaim {
  /** An endpoint that is not listed allows one attempt. */
  endpoints: readonly EndpointCapacity[];
  /** The number of the instance's attempts in progress, by workspace. */
  attemptsByWorkspace: Readonly<Record<string, number>>;
  /** The number of attempts that the instance can start. */
  limit: number;
  leaseMs: number;
}

/** Of each workspace, this number of due deliveries is read by time. If there are more, so many endpoints are visited as well. */
const MAX_VISITS = 128;
/** Further deliveries of an endpoint that are read, because some may wait for the first delivery of their task. */
const MAX_WAITING_READ = 8;
/** The second column of webhook_deliveries_due_idx. Endpoints with equal hashes share one capacity. */
const ENDPOINT_HASH = 'hashtextextended(endpoint, 0)';
const IS_DUE = `status = 'PENDING' AND next_attempt_at <= now() + interval '1 ms'`;

/**
 * Claims due deliveries: for each endpoint of a workspace as many as it has capacity for, the oldest first. Endpoints that have
 * responded come first. While an attempt is in progress, `next_attempt_at` is the time when its process counts as dead.
 *
 * The work for a workspace is bounded, because all others wait for it: a workspace can have any number of endpoints and of
 * pending deliveries, due or not. The endpoints to look at are those that have responded, those of the deliveries that are due
 * for the longest time, and, if there are more, MAX_VISITS endpoints from a random place in the ring of their hashes. So every
 * endpoint has its turn, also behind a long backlog of another one.
 *
 * A workspace gets at most as many attempts as are free after that. However many it has to make, others find free ones.
 * Otherwise, the workspaces with the fewest attempts in progress come first.
 *
 * The second delivery of a task waits until its first is delivered or abandoned. It is postponed until after the next attempt
 * of the first, as when it was inserted, so that it is not looked at again before. Only claimed and postponed rows are locked.
 * Joined rows are looked up one by one, because the planner cannot know how few they are and would read all of `tasks`. Times
 * are rounded to milliseconds, so a delivery that is due now can appear half a millisecond early.
 */
export const CLAIM_WEBHOOK_DELIVERIES = statement<ReturnType<typeof claimParameters>, ClaimedWebhookDelivery>(
  'claim-webhook-deliveries',
  `
  WITH RECURSIVE workspace AS (
    -- Each workspace with pending deliveries, found by one step in the index.
    (SELECT workspace_id AS id FROM webhook_deliveries WHERE status = 'PENDING' ORDER BY workspace_id LIMIT 1)
    UNION ALL
    SELECT (SELECT next.workspace_id FROM webhook_deliveries next
            WHERE next.status = 'PENDING' AND next.workspace_id > workspace.id ORDER BY next.workspace_id LIMIT 1)
    FROM workspace WHERE workspace.id IS NOT NULL
  ), known AS MATERIALIZED (
    -- The endpoints that have responded to this instance.
    SELECT "workspaceId" AS workspace_id, ${ENDPOINT_HASH} AS hash, capacity
    FROM jsonb_to_recordset(:endpoints::jsonb) AS known ("workspaceId" uuid, endpoint text, capacity int)
  ), earliest AS MATERIALIZED (
    -- The endpoints of the deliveries of each workspace that are due for the longest time.
    SELECT workspace.id AS workspace_id, ${ENDPOINT_HASH} AS hash FROM workspace CROSS JOIN LATERAL (
      SELECT endpoint FROM webhook_deliveries WHERE workspace_id = workspace.id AND ${IS_DUE}
      ORDER BY next_attempt_at LIMIT ${MAX_VISITS}
    ) delivery
  ), visited (workspace_id, start, hash, is_second_lap, n) AS (
    -- Where more are due than that: as many endpoints from a random place in the ring of their hashes.
    SELECT workspace_id, start, start, false, 0
    FROM (SELECT workspace_id, hashtextextended(gen_random_uuid()::text, 0) AS start
          FROM earliest GROUP BY workspace_id HAVING count(*) = ${MAX_VISITS}) backlog
    UNION ALL
    SELECT visited.workspace_id, start, next.hash, next.is_second_lap, n + 1
    FROM visited CROSS JOIN LATERAL (
      (SELECT ${ENDPOINT_HASH} AS hash, visited.is_second_lap FROM webhook_deliveries
       WHERE workspace_id = visited.workspace_id AND status = 'PENDING' AND ${ENDPOINT_HASH} > visited.hash
       ORDER BY ${ENDPOINT_HASH} LIMIT 1)
      UNION ALL
      (SELECT ${ENDPOINT_HASH}, true FROM webhook_deliveries
       WHERE workspace_id = visited.workspace_id AND status = 'PENDING' AND NOT visited.is_second_lap
       ORDER BY ${ENDPOINT_HASH} LIMIT 1)
      ORDER BY is_second_lap LIMIT 1
    ) next
    WHERE n < ${MAX_VISITS} AND (NOT next.is_second_lap OR next.hash <= start)
  ), endpoint AS MATERIALIZED (
    -- All endpoints to look at, and what each has capacity for.
    SELECT workspace_id, hash, known.capacity IS NOT NULL AS known, coalesce(known.capacity, 1) AS capacity
    FROM (SELECT workspace_id, hash FROM earliest
          UNION SELECT workspace_id, hash FROM visited
          UNION SELECT workspace_id, hash FROM known WHERE workspace_id IN (SELECT workspace_id FROM earliest)) found
    LEFT JOIN known USING (workspace_id, hash)
  ), candidate AS MATERIALIZED (
    -- The oldest due deliveries of each endpoint, and when the delivery is due that comes before them for their task.
    SELECT endpoint.workspace_id, endpoint.known, delivery.*,
           row_number() OVER (PARTITION BY endpoint.workspace_id, hash, waits_for IS NULL ORDER BY next_attempt_at) <= capacity
             AND waits_for IS NULL AS is_next
    FROM endpoint CROSS JOIN LATERAL (
      SELECT id, next_attempt_at, CASE WHEN kind <> 'RESULT' THEN (
        SELECT earlier.next_attempt_at FROM webhook_deliveries earlier
        WHERE earlier.task_id = due.task_id AND earlier.seq < due.seq AND earlier.status = 'PENDING'
        ORDER BY earlier.seq LIMIT 1) END AS waits_for
      FROM webhook_deliveries due
      WHERE workspace_id = endpoint.workspace_id AND ${ENDPOINT_HASH} = endpoint.hash AND ${IS_DUE}
      ORDER BY next_attempt_at LIMIT least(capacity, :limit::int) + ${MAX_WAITING_READ}
    ) delivery
    WHERE capacity > 0
  ), chosen AS (
    -- The deliveries to claim: a workspace gets at most half of the free attempts, and the least busy ones come first.
    SELECT id FROM (
      SELECT id, known, next_attempt_at, coalesce((:attemptsByWorkspace::jsonb ->> workspace_id::text)::int, 0) AS in_progress,
             row_number() OVER (PARTITION BY workspace_id ORDER BY known DESC, next_attempt_at) AS n
      FROM candidate WHERE is_next
    ) ranked
    WHERE n <= (:limit::int - in_progress + 1) / 2
    ORDER BY in_progress + n, known DESC, next_attempt_at LIMIT :limit::int
  ), due AS (
    -- Those of them that no other claim has taken meanwhile.
    SELECT id FROM webhook_deliveries WHERE id = ANY (ARRAY(SELECT id FROM chosen)) AND ${IS_DUE}
    FOR UPDATE SKIP LOCKED
  ), waiting AS MATERIALIZED (
    -- Those that wait for another delivery. One that has changed since it was read does not: the other may have been delivered.
    SELECT delivery.id, candidate.waits_for FROM candidate CROSS JOIN LATERAL (
      SELECT id FROM webhook_deliveries
      WHERE id = candidate.id AND next_attempt_at = candidate.next_attempt_at AND ${IS_DUE} FOR UPDATE SKIP LOCKED
    ) delivery
    WHERE candidate.next_attempt_at <= candidate.waits_for
  ), postponed AS (
    -- They are not looked at again before the next attempt of the other delivery.
    UPDATE webhook_deliveries later
    SET next_attempt_at = (SELECT waits_for + interval '1 ms' FROM waiting WHERE waiting.id = later.id)
    WHERE id = ANY (ARRAY(SELECT id FROM waiting))
  )
  UPDATE webhook_deliveries delivery
  SET attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => :leaseMs / 1000.0)
  WHERE id = ANY (ARRAY(SELECT id FROM due))
  RETURNING id, workspace_id AS "workspaceId", task_id AS "taskId", kind, endpoint, attempts AS "attemptNumber",
            attempts - attempts_before_redelivery AS "attemptSinceRedelivery", failures,
            (SELECT webhook_url FROM tasks WHERE tasks.id = task_id) AS url,
            (SELECT webhook_secret_version FROM workspaces WHERE workspaces.id = workspace_id) AS "secretVersion",
            (SELECT coalesce(webhook_previous_secret_expires_at > now(), false) FROM workspaces
             WHERE workspaces.id = workspace_id) AS "usesPreviousSecret"`,
);

/** The parameters of CLAIM_WEBHOOK_DELIVERIES. */
export function claimParameters({ endpoints, attemptsByWorkspace, limit, leaseMs }: WebhookClaim) {
  return {
    endpoints: JSON.stringify(endpoints),
    attemptsByWorkspace: JSON.stringify(attemptsByWorkspace),
    limit,
    leaseMs,
  };
}
