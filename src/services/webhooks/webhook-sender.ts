import { databaseNow, databaseTimeMs, DAY_MS } from '../../core/primitives/clock.js';
import { newAuditEntry } from '../../core/access/audit-entry.js';
import { type Caller } from '../../core/access/caller.js';
import { singleFlightWithRerun, withTimeout } from '../../core/primitives/async.js';
import { crashIfArmed } from '../../core/primitives/crash-points.js';
import { DatabaseUnavailable, InputRejected } from '../../core/errors.js';
import { isId } from '../../core/primitives/ids.js';
import { type WebhookAttempt, type WebhookDeliverySummary } from '../../core/webhooks/webhook-delivery.js';
import { type Task } from '../../core/tasks/task.js';
import { type ClaimedWebhookDelivery } from '../../db/webhooks/webhook-claims.js';
import { RequestFailed } from '../../net/request-failed.js';
import { type SignedLinks } from '../access/signed-links.js';
import { type AttemptResponse, attemptOutcomeOf, type RetryDelays } from './webhook-retries.js';
import { isSettled, fluxReplyOf } from '../flux-api/flux-reply.js';
import { BY_ID } from '../pagination/page-cursors.js';
import { type Page, type PageRequest, readPage } from '../pagination/read-page.js';
import { retryUntilDatabaseReturns } from '../../db/postgres/database-retry.js';
import { WebhookEndpoints } from './webhook-endpoints.js';
import { type WebhookSecrets } from './webhook-secrets.js';
import { deleteInBatches } from '../../core/primitives/delete-in-batches.js';
import { type Dependencies } from '../dependencies.js';

/** Standard Webhooks recommends 15 to 30 s. */
export const WEBHOOK_TIMEOUT_MS = 15_000;
/**
 * Time to read rows before an attempt and to write them after it. If the process dies, the attempt is repeated after the
 * timeout and this margin.
 */
const LEASE_MARGIN_MS = 5_000;
/**
 * Open sockets and their bodies, a few kB each. A silent endpoint occupies one of them. A workspace gets at most as many as are
 * then left, so up to 255 silent endpoints delay no other of their workspace, and any number delays no other workspace.
 */
const MAX_CONCURRENT_ATTEMPTS = 512;
const MAX_STORED_RESPONSE_BYTES = 1_024;
/** At shutdown, attempts that are still in progress after this time are aborted and released. */
const SHUTDOWN_GRACE_MS = 3_000;
/** An outage can be of the rows of one delivery, such as a damaged file. It would otherwise be claimed again at once, for ever. */
const UNPOSTED_DELAY_MS = 1_000;

export interface WebhookSenderDependencies extends Pick<
  Dependencies,
  'eventLog' | 'http' | 'log' | 'tasks' | 'webhooks'
> {
  /** For attempts, of which hundreds can need a connection at the same time. Requests have other connections. */
  background: Pick<Dependencies, 'images' | 'tasks' | 'webhooks'>;
  secrets: WebhookSecrets;
  signedLinks: SignedLinks;
  retryDelaysMs: RetryDelays;
  timeoutMs: number;
  /** How long attempts and settled deliveries are kept. */
  retentionDays: number;
}

/** PostgreSQL became unavailable before a webhook was posted. */
class NotPosted extends Error {
  override readonly name = 'NotPosted';
  constructor(cause: DatabaseUnavailable) {
    super('The webhook was not posted, because PostgreSQL became unavailable.', { cause });
  }
}

/**
 * Posts results to the webhook URLs of tasks. Each result is delivered at least once, the results of a task arrive in
 * order, and a slow endpoint does not delay others. The rows are the queue. A job wakes the sender after a new result, and
 * a recurring job wakes it every second for deliveries that have become due.
 *
 *   PENDING -> claimed (due again when its lease expires) -> DELIVERED | ABANDONED | PENDING at a later time
 */
export class WebhookSender {
  private readonly endpoints = new WebhookEndpoints();
  private readonly attemptsInProgress = new Map<ClaimedWebhookDelivery, Promise<void>>();
  private readonly claim = singleFlightWithRerun(() => this.claimDue());
  /** Deliveries that are claimed, but whose attempts ended before they were posted. */
  private readonly unposted = new Set<ClaimedWebhookDelivery>();
  private readonly releaseUnposted = singleFlightWithRerun(() => this.releaseWhenPossible());
  private isStopping = false;
  private isAborted = false;

  constructor(private readonly deps: WebhookSenderDependencies) {}

  /** Starts the deliveries that are due, as far as there is capacity. Does not wait for them. */
  wake(): void {
    void this.claim();
  }

  /** Stops starting attempts, waits up to SHUTDOWN_GRACE_MS for those in progress, and releases the rest to other instances. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await this.claim();
    await withTimeout(Promise.all(this.attemptsInProgress.values()), SHUTDOWN_GRACE_MS);
    if (this.attemptsInProgress.size === 0) return;
    this.isAborted = true;
    await this.deps.background.webhooks
      .releaseClaims([...this.attemptsInProgress.keys()])
      .catch(this.logUnreleased);
  }

  /** Posts the results of a task again, with the same webhook IDs. Throws InputRejected NOT_FOUND or NO_WEBHOOK. */
  async redeliver(caller: Caller, taskId: string): Promise<Task> {
    const [task] = isId(taskId) ? await this.deps.tasks.findMany(caller, [taskId]) : [];
    if (!task) throw InputRejected.argument('NOT_FOUND', 'taskId', 'No task with this ID in your workspace.');
    const audit = newAuditEntry(caller, 'WEBHOOK_REDELIVERED', { targetId: task.id });
    if ((await this.deps.webhooks.redeliver(caller.workspaceId, task.id, audit)) === 0) {
      const message =
        task.webhookUrl === null
          ? 'The task has no webhookUrl. Read its result with the query `task`.'
          : isSettled(task)
            ? `The deliveries of the task were deleted after ${this.deps.retentionDays} days. Read its result with the query \`task\`.`
            : `The task is ${task.status} and has no result yet. The result is posted as soon as it exists.`;
      throw InputRejected.argument('NO_WEBHOOK', 'taskId', message);
    }
    return task;
  }

  /**
   * Deletes attempts that are older than the retention period, unless their delivery is still pending. `signal` ends the run
   * between two batches.
   */
  async deleteOldAttempts(signal?: AbortSignal): Promise<void> {
    const oldest = new Date(databaseTimeMs() - this.deps.retentionDays * DAY_MS);
    const { webhooks } = this.deps.background;
    await deleteInBatches((limit) => webhooks.deleteAttemptsBefore(oldest, limit), signal);
  }

  /** Deletes deliveries whose last attempt is older than the retention period. They can then not be posted again. */
  async deleteOldDeliveries(signal?: AbortSignal): Promise<void> {
    const { background, retentionDays } = this.deps;
    const { webhooks } = background;
    await deleteInBatches((limit) => webhooks.deleteSettled(retentionDays, limit), signal);
  }

  /** A page of the deliveries of a task, newest first. Throws BadRequest for an invalid page size or cursor. */
  pageOfDeliveries(
    { workspaceId, id }: Pick<Task, 'workspaceId' | 'id'>,
    page: PageRequest,
  ): Promise<Page<WebhookDeliverySummary>> {
    return readPage(page, BY_ID, (after, limit) =>
      this.deps.webhooks.pageOfDeliveries({ workspaceId, taskId: id }, after, limit),
    );
  }

  /** A page of the attempts of a delivery, newest first. Throws BadRequest for an invalid page size or cursor. */
  pageOfAttempts(
    delivery: Pick<WebhookDeliverySummary, 'id' | 'workspaceId' | 'taskId'>,
    page: PageRequest,
  ): Promise<Page<WebhookAttempt>> {
    return readPage(page, BY_ID, (after, limit) => this.deps.webhooks.pageOfAttempts(delivery, after, limit));
  }

  /** Without capacity, the end of an attempt wakes the sender again. */
  private async claimDue(): Promise<void> {
    const capacity = MAX_CONCURRENT_ATTEMPTS - this.attemptsInProgress.size;
    if (this.isStopping || capacity === 0) return;
    try {
      const leaseMs = this.deps.timeoutMs + LEASE_MARGIN_MS;
      const { capacities: endpoints, attemptsByWorkspace } = this.endpoints;
      const claim = { endpoints, attemptsByWorkspace, limit: capacity, leaseMs };
      const claimed = await this.deps.background.webhooks.claim(claim);
      for (const delivery of claimed) this.startAttempt(delivery);
      if (claimed.length > 0) this.wake();
    } catch (error) {
      this.deps.log.warn({ err: error }, 'failed to read due webhook deliveries; trying again');
    }
  }

  private startAttempt(delivery: ClaimedWebhookDelivery): void {
    const { id: webhookId, taskId } = delivery;
    this.endpoints.attemptStarted(delivery);
    const attempt = this.makeAttempt(delivery)
      .catch(async (error: unknown) => {
        this.deps.log.warn(
          { err: error, webhookId, taskId },
          'a webhook attempt was interrupted; it is made again',
        );
        if (error instanceof NotPosted) {
          this.unposted.add(delivery);
          await this.releaseUnposted();
        }
        return null;
      })
      .then((hasResponse) => {
        this.attemptsInProgress.delete(delivery);
        this.endpoints.attemptEnded(delivery, hasResponse);
        this.wake();
      });
    this.attemptsInProgress.set(delivery, attempt);
  }

  /** One statement for all of them, as soon as PostgreSQL responds. Their leases end meanwhile if it does not. */
  private async releaseWhenPossible(): Promise<void> {
    const { background, log } = this.deps;
    let released: ClaimedWebhookDelivery[] = [];
    const release = () => {
      released = [...this.unposted];
      // The shutdown has released them, or could not.
      if (this.isAborted) return Promise.resolve();
      return background.webhooks.releaseClaims(released, UNPOSTED_DELAY_MS);
    };
    await retryUntilDatabaseReturns(release, log).catch(this.logUnreleased);
    for (const delivery of released) this.unposted.delete(delivery);
  }

  private readonly logUnreleased = (error: unknown): void => {
    this.deps.log.warn(
      { err: error },
      'failed to release webhook deliveries; they are attempted again when their lease expires',
    );
  };

  /** Returns whether the endpoint responded. Null when that is unknown. Throws NotPosted during an outage before the post. */
  private async makeAttempt(delivery: ClaimedWebhookDelivery): Promise<boolean | null> {
    const body = await this.buildBody(delivery).catch((error: unknown) => {
      // Any other error would most often be the same if the attempt was made again soon.
      throw error instanceof DatabaseUnavailable ? new NotPosted(error) : error;
    });
    const response = await this.post(delivery, body, databaseNow());
    const { statusCode, errorMessage } = response;
    // Shutdown aborted the request, so this is not a failure of the endpoint.
    if (statusCode === null && this.isAborted) return null;
    crashIfArmed('webhook-acknowledged');
    const { background, eventLog, log, retryDelaysMs } = this.deps;
    const outcome = attemptOutcomeOf(delivery, response, retryDelaysMs);
    await retryUntilDatabaseReturns(() => background.webhooks.recordAttempt(delivery, outcome), log);
    if (outcome.event) eventLog.requestSeal();
    const { id: webhookId, taskId, attemptNumber } = delivery;
    const fields = { webhookId, taskId, attemptNumber, statusCode, errorMessage, status: outcome.status };
    log.debug(fields, 'a webhook was posted');
    return statusCode !== null;
  }

  private async buildBody({ taskId, kind }: ClaimedWebhookDelivery): Promise<string> {
    const { background, signedLinks } = this.deps;
    const { tasks, images } = background;
    const [task, taskImages] = await Promise.all([tasks.find(taskId), images.findByTask(taskId)]);
    if (!task) throw new Error(`The task ${taskId} of a webhook delivery does not exist.`);
    const imageUrlOf = (imageId: string) => signedLinks.imageUrl(imageId);
    return JSON.stringify(fluxReplyOf(task, taskImages, { imageUrlOf, kind }));
  }

  private async post(delivery: ClaimedWebhookDelivery, body: string, at: Date): Promise<AttemptResponse> {
    const { secrets, http, timeoutMs } = this.deps;
    const startedAt = performance.now();
    const headers = secrets.signatureHeaders(delivery, body, at);
    const options = { headers, timeoutMs, maxPrefixBytes: MAX_STORED_RESPONSE_BYTES };
    try {
      const response = await http.postJson(delivery.url, body, options);
      const { status: statusCode, body: responseBody } = response;
      const latencyMs = Math.round(performance.now() - startedAt);
      const { headers } = response;
      return { at, statusCode, errorMessage: null, mayBeOurs: false, responseBody, latencyMs, headers };
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      const latencyMs = Math.round(performance.now() - startedAt);
      const { reason: errorMessage, mayBeOurs } = error;
      return { at, statusCode: null, errorMessage, mayBeOurs, responseBody: null, latencyMs, headers: {} };
    }
  }
}
