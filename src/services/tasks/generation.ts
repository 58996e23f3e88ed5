import { type Logger } from 'pino';
import { type Caller } from '../../core/access/caller.js';
import { type CallbackVerdict } from '../../core/callbacks/callback.js';
import { crashPoint } from '../../core/primitives/crash-points.js';
import { InputRejected, RateLimited, UpstreamError, UpstreamPaused } from '../../core/errors.js';
import { ACTORS } from '../../core/events/task-event.js';
import { newId } from '../../core/primitives/ids.js';
import { type Ticket } from '../../core/jobs.js';
import { type Task, type TaskKind } from '../../core/tasks/task.js';
import { type Callbacks } from '../../db/callbacks/callback-repository.js';
import { type NewTask, type RawCallback, type Tasks } from '../../db/tasks/task-repository.js';
import { type EventLog } from '../../event-log/event-log.js';
import { type AceData, type UpstreamResult } from '../../upstreams/acedata.js';
import { PROBE_AFTER_MS, type Reach, type UpstreamGate } from '../../upstreams/upstream-gate.js';
import { requireNewThings } from '../access/access.js';
import { type Addresses } from '../access/signed-links.js';
import { persistently } from '../database-retry.js';
import { type RateLimits } from '../limits/rate-limits.js';
import { type References } from './source-images.js';
import { type CheckedRequest, checkWish, endUserOf, hashInput, type Wish } from './request-validation.js';
import { isFinished, type Results, upstreamNames } from './results.js';
import { type Spending } from '../billing/spending.js';
import { TakingTurns } from './fair-scheduler.js';

/** How long a callback is held while Postgres is away: it comes once, and its sender waits 10 s or more. */
const RECEIVE_PATIENCE_MS = 8_000;

/** Where a request comes from besides its caller. */
export interface Origin {
  /** The request's id in our log. */
  traceId?: string | null;
  /** The task that is asked for again. */
  retryOfId?: string | null;
}

export interface Requested {
  task: Task;
  /** True when an earlier request with the same idempotency key made the task. */
  replayed: boolean;
}

/**
 * The story of a task, in the order of the data: a caller requests it, a job submits it, the upstream's result is
 * received and brought in (results.ts), and its pictures are stored (pictures.ts). Results that no callback brought, and
 * deadlines, come in through reconciliation.ts. Every step is one compare-and-set: whoever comes second finds the task
 * moved on and changes nothing.
 */
export class Generation {
  private readonly turns: TakingTurns;

  constructor(
    private readonly tasks: Tasks,
    private readonly callbacks: Callbacks,
    private readonly results: Results,
    private readonly events: EventLog,
    private readonly upstream: AceData,
    private readonly gate: UpstreamGate,
    private readonly addresses: Addresses,
    private readonly references: References,
    private readonly spending: Spending,
    private readonly limits: RateLimits,
    private readonly log: Logger,
  ) {
    this.turns = new TakingTurns(tasks, log);
  }

  /**
   * Takes a wish: checks it, then writes task, event and job in one commit. Once this has returned, the task will reach an
   * end whatever happens. Throws InputRejected with every fault found, RateLimited, and Forbidden for a caller who may make
   * nothing new; then nothing was written. A repetition makes nothing, so no limit and no budget refuses it.
   */
  async request(
    caller: Caller,
    kind: TaskKind,
    wish: Wish,
    { traceId = null, retryOfId = null }: Origin = {},
  ): Promise<Requested> {
    requireNewThings(caller);
    const endUserId = endUserOf(caller, wish);
    const request = checkWish(kind, await this.references.recognize(caller, wish));
    const inputHash = hashInput(request, retryOfId, endUserId);
    const { workspaceId, keyId } = caller;
    const callbackUrl = request.callbackUrl ?? null;
    const row = {
      ...request,
      id: newId(),
      workspaceId,
      inputHash,
      retryOfId,
      callbackUrl,
      traceId,
      keyId,
      endUserId,
      ...this.spending.priceOf(request.model),
    };
    const admitted = await this.admit(caller, request, row);
    if ('replayed' in admitted) return admitted;
    try {
      const requested = await this.write(caller, row);
      if (requested.replayed) await admitted.takeBack();
      return requested;
    } catch (error) {
      await admitted.takeBack().catch(() => undefined);
      throw error;
    }
  }

  /**
   * Asks what may refuse a new task: the addresses in it, and the limits. What a repetition was made of was let in before, so
   * the task of its key is looked for when something refuses, and only then: a new request pays no query for it.
   */
  private async admit(
    caller: Caller,
    request: CheckedRequest,
    row: NewTask,
  ): Promise<Requested | { takeBack: () => Promise<void> }> {
    try {
      await this.references.check(caller, request);
      const { endUserId } = row;
      return { takeBack: await this.limits.admitGeneration({ ...caller, endUserId }, row.id) };
    } catch (error) {
      if (!(error instanceof RateLimited || error instanceof InputRejected)) throw error;
      const replayed = await this.replay(row);
      if (!replayed) throw error;
      return replayed;
    }
  }

  /** Writes a task, or finds the one that its idempotency key stands for. Throws InputRejected when a budget has no room. */
  private async write(caller: Caller, row: NewTask): Promise<Requested> {
    for (let tries = 1; ; tries += 1) {
      const task = await this.tasks.insert(row, caller.keyName);
      if (task) {
        this.events.sealSoon();
        return { task, replayed: false };
      }
      const replayed = await this.replay(row);
      if (replayed) return replayed;
      await this.spending.explain(row, tries);
    }
  }

  /**
   * Sends the task whose turn it is to the upstream, at most once: before the first byte leaves, the task says SUBMITTING
   * for this run of this ticket. One that an earlier run of the ticket left like that is not sent again: the process ended
   * while it was sending. Does nothing when nothing waits. Throws UpstreamPaused while the upstream is down, unless the
   * ticket could be exchanged for a later one.
   */
  async submit(ticket: Ticket): Promise<void> {
    try {
      await this.gate.run(() => this.submitNext(ticket));
    } catch (error) {
      if (!(error instanceof UpstreamPaused) || !(await this.exchange(ticket))) throw error;
    }
    this.events.sealSoon();
  }

  /**
   * The queue lets a ticket that failed sleep longer each time, and by now it is anybody's: whoever asks when the upstream
   * is back would wait for it. Not after an earlier run, which may have left a task behind that only this ticket finds.
   */
  private async exchange(ticket: Ticket): Promise<boolean> {
    return ticket.attempt === 1 && this.tasks.exchangeTicket(ticket, new Date(Date.now() + PROBE_AFTER_MS));
  }

  private async submitNext(ticket: Ticket): Promise<Reach> {
    // Here, where there is a place for the request: what comes before is decided at the last moment.
    const { task, leftBehind } = await this.turns.take(ticket);
    if (leftBehind) {
      await this.leaveUnconfirmed(leftBehind, 'The process ended while it was sending the request.');
    }
    if (!task) return 'not-tried';
    crashPoint('submitting-saved');
    try {
      const result = await this.upstream.submit({
        ...task,
        count: task.requestedCount,
        sourceImageUrl: this.references.sourceUrl(task),
        callbackUrl: this.addresses.callback(task.id),
      });
      crashPoint(result.kind === 'succeeded' ? 'result-waited-for' : 'reply-read');
      await persistently(() => this.applyReply(task, result), this.log);
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      await persistently(() => this.applySubmitFailure(task, error), this.log);
      return error.outcome === 'not-sent' ? 'unreachable' : 'reached';
    }
    return 'reached';
  }

  /**
   * Takes a body that was posted to a task's callback link, and keeps it with the verdict that is returned. What brings the
   * task to its end is kept in the same commit. One that was kept before, by its id, gets its verdict anew.
   */
  async receive(taskId: string, callback: RawCallback): Promise<CallbackVerdict> {
    crashPoint('callback-read');
    const result = this.upstream.parseCallback(Buffer.from(callback.body));
    const take = async () => {
      const verdict =
        result && isFinished(result)
          ? await this.results.apply(taskId, result, ACTORS.callback, callback)
          : 'MALFORMED';
      if (verdict !== 'APPLIED' && verdict !== 'EARLY') await this.callbacks.keep(callback, taskId, verdict);
      return verdict;
    };
    const verdict = await persistently(take, this.log, RECEIVE_PATIENCE_MS);
    crashPoint('callback-kept');
    return verdict;
  }

  private async applyReply(
    task: Task,
    result: Extract<UpstreamResult, { kind: 'accepted' | 'succeeded' }>,
  ): Promise<void> {
    if (result.kind === 'succeeded') {
      await this.results.apply(task.id, result, ACTORS.submitter);
      return;
    }
    const names = upstreamNames(result);
    const data = { upstreamTaskId: result.upstreamTaskId, attempt: task.attempts };
    const event = { type: 'TASK_SUBMITTED', actor: ACTORS.submitter, data } as const;
    const moved = await this.tasks.moveTo(task.id, 'RUNNING', { ...names, event });
    if (!moved) await this.tasks.nameUpstreamTask(task.id, result.upstreamTaskId, result.upstreamTraceId);
  }

  private async applySubmitFailure(task: Task, error: UpstreamError): Promise<void> {
    const { outcome, failure } = error;
    this.log.warn({ taskId: task.id, attempt: task.attempts, outcome, code: failure.code }, error.message);
    if (outcome === 'unknown') return this.leaveUnconfirmed(task.id, error.message, task.attempts);

    const delayMs = error.retryAfterMs(task.attempts);
    const retryAt = new Date(Date.now() + (delayMs ?? 0));
    if (delayMs !== null && retryAt < task.deadlineAt) {
      const { code, message } = failure;
      const data = { attempt: task.attempts, code, message, retryAt: retryAt.toISOString() };
      await this.tasks.putBack(task, retryAt, { type: 'SUBMIT_REJECTED', actor: ACTORS.submitter, data });
      return;
    }
    await this.tasks.moveTo(task.id, 'FAILED', {
      upstreamTraceId: failure.upstreamTraceId,
      failure,
      event: { type: 'TASK_FAILED', actor: ACTORS.submitter, data: { error: failure } },
    });
  }

  private async leaveUnconfirmed(taskId: string, message: string, attempt?: number): Promise<void> {
    const task = await this.tasks.find(taskId);
    if (task?.status !== 'SUBMITTING') return;
    await this.tasks.moveTo(taskId, 'UNCONFIRMED', {
      event: {
        type: 'SUBMIT_UNCONFIRMED',
        actor: ACTORS.submitter,
        data: { attempt: attempt ?? task.attempts, message },
      },
    });
    this.events.sealSoon();
  }

  /** What an earlier request with the same key was answered; null when there was none. */
  private async replay(row: NewTask): Promise<Requested | null> {
    const { idempotencyKey: key, inputHash } = row;
    const found = key === null ? null : await this.tasks.findByKey(row, key, inputHash);
    if (!found) return null;
    if (found.sameInput) return { task: found, replayed: true };
    const message =
      'This idempotency key was used for a request with another input. Use a new key for a new request.';
    throw new InputRejected([{ code: 'IDEMPOTENCY_CONFLICT', message, field: ['input', 'idempotencyKey'] }]);
  }
}
