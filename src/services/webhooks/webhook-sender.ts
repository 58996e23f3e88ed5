import { type Logger } from 'pino';
import { auditEntry } from '../../core/access/audit-entry.js';
import { type Caller } from '../../core/access/caller.js';
import { crashPoint } from '../../core/primitives/crash-points.js';
import { BadRequest, InputRejected } from '../../core/errors.js';
import { isId, newId } from '../../core/primitives/ids.js';
import { type Delivery } from '../../core/webhooks/webhook-delivery.js';
import { type Task } from '../../core/tasks/task.js';
import { type Images } from '../../db/images/image-repository.js';
import { type ClaimedCallback, type OutgoingCallbacks } from '../../db/webhooks/webhook-repository.js';
import { type Tasks } from '../../db/tasks/task-repository.js';
import { type EventLog } from '../../event-log/event-log.js';
import { type HttpClient } from '../../net/http-client.js';
import { RequestFailed } from '../../net/request-failed.js';
import { type Addresses } from '../access/signed-links.js';
import { type Answered, endOf, type RetryDelays } from './delivery-outcome.js';
import { isSettled, replyOf } from '../flux-api/flux-reply.js';
import { checkPageSize, type Page, toPage } from '../pagination.js';
import { persistently } from '../database-retry.js';
import { Receivers } from './webhook-endpoints.js';
import { type WebhookSecrets } from './webhook-secrets.js';

/** What Standard Webhooks advises: 15 to 30 s. */
export const ATTEMPT_TIMEOUT_MS = 15_000;
/** For reading rows before the attempt and writing them after it. One whose process died is made again after both. */
const LEASE_BEYOND_TIMEOUT_MS = 5_000;
/** Open sockets and their bodies, a few kB each. Silent receivers have one of them each, so 300 of those delay nobody. */
const AT_ONCE = 512;
const KEPT_ANSWER_BYTES = 1_024;
/** Deleted by one statement; the job goes on until none is left. */
const FORGET_BATCH = 1_000;
const DAY_MS = 24 * 3_600 * 1_000;
/** At shutdown; what has not ended by then is cut and handed back. */
const GRACE_MS = 3_000;

export interface DeliveringOptions {
  delays: RetryDelays;
  timeoutMs: number;
  /** How long attempts are kept. */
  retentionDays: number;
}

/**
 * Posts results to the callback URLs of tasks: at least once, a task's in their order, and nobody's slowness is anybody
 * else's. The rows are the queue; a job wakes us, and another one, every second, finds those whose time has come.
 *
 *   PENDING -> claimed (due again when its lease is over) -> DELIVERED | ABANDONED | PENDING at a later time
 */
export class Delivering {
  private readonly receivers = new Receivers();
  private readonly underWay = new Map<ClaimedCallback, Promise<void>>();
  private claiming: Promise<void> | null = null;
  private wanted = false;
  private stopping = false;
  private cut = false;

  constructor(
    private readonly callbacks: OutgoingCallbacks,
    private readonly tasks: Tasks,
    private readonly images: Images,
    private readonly secrets: WebhookSecrets,
    private readonly http: HttpClient,
    private readonly addresses: Addresses,
    private readonly events: EventLog,
    private readonly log: Logger,
    private readonly options: DeliveringOptions,
  ) {}

  /** Begins whatever is due and has room. Does not wait for it. */
  wake(): void {
    this.wanted = true;
    if (!this.hasRoom) return;
    this.claiming ??= this.claimAll().finally(() => {
      this.claiming = null;
      if (this.wanted && this.hasRoom) this.wake();
    });
  }

  /** Begins nothing more, waits a little for what is under way, and hands back what is left, for others to make again. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.claiming;
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise<void>((resolve) => (timer = setTimeout(resolve, GRACE_MS)));
    await Promise.race([Promise.all(this.underWay.values()), grace]);
    clearTimeout(timer);
    if (this.underWay.size === 0) return;
    this.cut = true;
    await this.callbacks.handBack([...this.underWay.keys()]).catch((error: unknown) => {
      this.log.warn(
        { err: error },
        'callbacks could not be handed back; they are posted when their lease is over',
      );
    });
  }

  /** Sends the results of the caller's task again, with the same ids. Throws InputRejected NOT_FOUND or NO_CALLBACK. */
  async redeliver(caller: Caller, taskId: string): Promise<Task> {
    const field = ['input', 'id'];
    const [task] = isId(taskId) ? await this.tasks.findMany(caller, [taskId]) : [];
    if (!task) {
      const message = 'There is no task with this id in your workspace.';
      throw new InputRejected([{ code: 'NOT_FOUND', message, field }]);
    }
    const audit = auditEntry(caller, 'CALLBACK_REDELIVERED', task.id);
    if ((await this.callbacks.redeliver(caller.workspaceId, task.id, audit)) === 0) {
      const message =
        task.callbackUrl === null
          ? 'The task has no callbackUrl. Read its result with the query task.'
          : `The task is ${task.status}${isSettled(task) ? '' : ' and its result is not there yet'}. It is posted when it is there.`;
      throw new InputRejected([{ code: 'NO_CALLBACK', message, field }]);
    }
    return task;
  }

  /**
   * Deletes attempts that are older than the retention: each holds what a receiver answered. Their callbacks stay, which are small
   * and one to a task, so that `redeliver` finds them as long as the task is there.
   */
  async forgetOld(): Promise<void> {
    const oldest = new Date(Date.now() - this.options.retentionDays * DAY_MS);
    while ((await this.callbacks.forgetDeliveriesBefore(oldest, FORGET_BATCH)) === FORGET_BATCH);
  }

  /** A page of the attempts to deliver a task's results, newest first. Throws BadRequest. */
  async page(
    { workspaceId, id }: Pick<Task, 'workspaceId' | 'id'>,
    first: number,
    after: string | null,
  ): Promise<Page<Delivery>> {
    checkPageSize(first);
    if (after !== null && !isId(after)) throw new BadRequest('`after` is not a cursor of this list.');
    const rows = await this.callbacks.pageOfDeliveries(workspaceId, id, after, first + 1);
    return toPage(rows, first, after !== null, (delivery) => delivery.id);
  }

  /** When there is none, an attempt that ends wakes us again. */
  private get hasRoom(): boolean {
    return !this.stopping && this.underWay.size < AT_ONCE;
  }

  private async claimAll(): Promise<void> {
    try {
      while (this.wanted && this.hasRoom) {
        this.wanted = false;
        const room = AT_ONCE - this.underWay.size;
        const leaseMs = this.options.timeoutMs + LEASE_BEYOND_TIMEOUT_MS;
        const claimed = await this.callbacks.claim(this.receivers.room, room, leaseMs);
        for (const callback of claimed) this.begin(callback);
        if (claimed.length > 0) this.wanted = true;
      }
    } catch (error) {
      this.wanted = false;
      this.log.warn({ err: error }, 'callbacks that are due cannot be read; it is tried again');
    }
  }

  private begin(callback: ClaimedCallback): void {
    const { id: callbackId, taskId, receiver } = callback;
    this.receivers.began(receiver);
    const attempt = this.deliver(callback)
      .catch((error: unknown) => {
        this.log.warn({ err: error, callbackId, taskId }, 'an attempt to deliver a callback is made again');
        return null;
      })
      .then((answered) => {
        this.underWay.delete(callback);
        this.receivers.ended(receiver, answered);
        this.wake();
      });
    this.underWay.set(callback, attempt);
  }

  /** Whether the receiver answered; null when that is not known. */
  private async deliver(callback: ClaimedCallback): Promise<boolean | null> {
    const body = await this.body(callback);
    const at = new Date();
    const answered = await this.post(callback, body, at);
    const { statusCode, failure } = answered;
    // We hung up, not the receiver: that is no failure of its.
    if (statusCode === null && this.cut) return null;
    crashPoint('delivery-answered');
    const end = endOf(callback, { id: newId(), at }, answered, this.options.delays);
    await persistently(() => this.callbacks.finish(callback, end), this.log);
    if (end.event) this.events.sealSoon();
    const { id: callbackId, taskId, attempt } = callback;
    const facts = { callbackId, taskId, attempt, statusCode, failure, status: end.status };
    this.log.debug(facts, 'a callback was posted');
    return statusCode !== null;
  }

  private async body({ taskId, kind }: ClaimedCallback): Promise<string> {
    const [task, images] = await Promise.all([this.tasks.find(taskId), this.images.findOfTask(taskId)]);
    if (!task) throw new Error('The task of a callback is not there.');
    return JSON.stringify(replyOf(task, images, (imageId) => this.addresses.image(imageId), kind));
  }

  private async post(callback: ClaimedCallback, body: string, at: Date): Promise<Answered> {
    const headers = { ...this.secrets.headers(callback, body, at), 'user-agent': 'Darkroom' };
    const options = { headers, timeoutMs: this.options.timeoutMs };
    try {
      const reply = await this.http.postText(callback.url, body, KEPT_ANSWER_BYTES, options);
      const latencyMs = Date.now() - at.getTime();
      return {
        statusCode: reply.status,
        failure: null,
        answer: reply.body,
        latencyMs,
        headers: reply.headers,
      };
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      const latencyMs = Date.now() - at.getTime();
      return { statusCode: null, failure: error.reason, answer: null, latencyMs, headers: {} };
    }
  }
}
