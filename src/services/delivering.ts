import { type Logger } from 'pino';
import { LRUCache } from 'lru-cache';
import { auditEntry } from '../core/audit.js';
import { type Caller } from '../core/caller.js';
import { crashPoint } from '../core/crash-points.js';
import { BadRequest, InputRejected } from '../core/errors.js';
import { isId, newId } from '../core/ids.js';
import { type Delivery } from '../core/outgoing-callback.js';
import { type Task } from '../core/task.js';
import { type Images } from '../db/images.js';
import { type ClaimedCallback, type OutgoingCallbacks } from '../db/outgoing-callbacks.js';
import { type Tasks } from '../db/tasks.js';
import { type EventLog } from '../events/log.js';
import { type HttpClient } from '../net/http-client.js';
import { RequestFailed } from '../net/request-failed.js';
import { type Addresses } from './addresses.js';
import { type Answered, endOf, type RetryDelays } from './delivery-end.js';
import { isSettled, replyOf } from './flux-reply.js';
import { checkPageSize, type Page, toPage } from './page.js';
import { persistently } from './persistently.js';
import { type WebhookSecrets } from './webhook-secrets.js';

/** What Standard Webhooks advises: 15 to 30 s. */
const ATTEMPT_TIMEOUT_MS = 15_000;
/** The time-out, reading rows before and writing after it. An attempt whose process died is made again after this. */
const LEASE_MS = 20_000;
/** A receiver that answers within 100 ms is given 80 callbacks a second. */
const PER_RECEIVER = 8;
/** Open sockets and their bodies, a few kB each. Slow receivers have one of them each, so 300 of those delay nobody. */
const AT_ONCE = 512;
/** Receivers that are remembered as not answering. */
const SILENT_KEPT = 1_000;
const KEPT_ANSWER_BYTES = 1_024;
/** At shutdown; what has not ended by then is cut, and made again by another instance. */
const GRACE_MS = 3_000;

/**
 * Posts results to the callback URLs of tasks: at least once, a task's in their order, and nobody's slowness is anybody
 * else's. The rows are the queue; a job wakes us, and another one, every second, finds those whose time has come.
 *
 *   PENDING -> claimed (due again when its lease is over) -> DELIVERED | ABANDONED | PENDING at a later time
 */
export class Delivering {
  /** Attempts under way, by receiver. */
  private readonly busy = new Map<string, number>();
  /** Receivers whose last attempt got no answer: they have one attempt at a time until one does. */
  private readonly silent = new LRUCache<string, true>({ max: SILENT_KEPT });
  private readonly underWay = new Set<Promise<void>>();
  private claiming: Promise<void> | null = null;
  private wanted = false;
  private stopping = false;

  constructor(
    private readonly callbacks: OutgoingCallbacks,
    private readonly tasks: Tasks,
    private readonly images: Images,
    private readonly secrets: WebhookSecrets,
    private readonly http: HttpClient,
    private readonly addresses: Addresses,
    private readonly events: EventLog,
    private readonly log: Logger,
    private readonly delays: RetryDelays,
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

  /** Begins nothing more, and waits a little for what is under way. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.claiming;
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise<void>((resolve) => (timer = setTimeout(resolve, GRACE_MS)));
    await Promise.race([Promise.all(this.underWay), grace]);
    clearTimeout(timer);
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

  /** A page of the attempts to deliver a task's results, newest first. Throws BadRequest. */
  async page(taskId: string, first: number, after: string | null): Promise<Page<Delivery>> {
    checkPageSize(first);
    if (after !== null && !isId(after)) throw new BadRequest('`after` is not a cursor of this list.');
    const rows = await this.callbacks.pageOfDeliveries(taskId, after, first + 1);
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
        const claimed = await this.callbacks.claim(this.taken(), PER_RECEIVER, room, LEASE_MS);
        for (const callback of claimed) this.begin(callback);
        if (claimed.length > 0) this.wanted = true;
      }
    } catch (error) {
      this.wanted = false;
      this.log.warn({ err: error }, 'callbacks that are due cannot be read; it is tried again');
    }
  }

  /** What receivers have of their room: a silent one is full with its first attempt, and has one free without any. */
  private taken(): Record<string, number> {
    const taken: Record<string, number> = {};
    for (const receiver of this.silent.keys()) taken[receiver] = PER_RECEIVER - 1;
    for (const [receiver, count] of this.busy)
      taken[receiver] = this.silent.has(receiver) ? PER_RECEIVER : count;
    return taken;
  }

  private begin(callback: ClaimedCallback): void {
    const { receiver } = callback;
    this.busy.set(receiver, (this.busy.get(receiver) ?? 0) + 1);
    const attempt = this.deliver(callback)
      .catch((error: unknown) => {
        const { id: callbackId, taskId } = callback;
        this.log.warn({ err: error, callbackId, taskId }, 'an attempt to deliver a callback is made again');
      })
      .finally(() => {
        this.underWay.delete(attempt);
        const left = (this.busy.get(receiver) ?? 1) - 1;
        if (left > 0) this.busy.set(receiver, left);
        else this.busy.delete(receiver);
        this.wake();
      });
    this.underWay.add(attempt);
  }

  private async deliver(callback: ClaimedCallback): Promise<void> {
    const body = await this.body(callback);
    const at = new Date();
    const answered = await this.post(callback, body, at);
    if (answered.statusCode === null) this.silent.set(callback.receiver, true);
    else this.silent.delete(callback.receiver);
    crashPoint('delivery-answered');
    const end = endOf(callback, { id: newId(), at }, answered, this.delays);
    await persistently(() => this.callbacks.finish(callback.id, end), this.log);
    if (end.event) this.events.sealSoon();
    const { id: callbackId, taskId, attempt } = callback;
    const { statusCode, failure } = answered;
    this.log.debug(
      { callbackId, taskId, attempt, statusCode, failure, status: end.status },
      'a callback was posted',
    );
  }

  private async body({ taskId, kind }: ClaimedCallback): Promise<string> {
    const [task, images] = await Promise.all([this.tasks.find(taskId), this.images.findByTasks([taskId])]);
    if (!task) throw new Error('The task of a callback is not there.');
    return JSON.stringify(replyOf(task, images, (imageId) => this.addresses.image(imageId), kind));
  }

  private async post(callback: ClaimedCallback, body: string, at: Date): Promise<Answered> {
    const headers = { ...this.secrets.headers(callback, body, at), 'user-agent': 'Darkroom' };
    const options = { headers, timeoutMs: ATTEMPT_TIMEOUT_MS };
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
