import { databaseNow } from '../../core/primitives/clock.js';
import { type Caller } from '../../core/access/caller.js';
import { type CallbackVerdict } from '../../core/callbacks/callback.js';
import { crashIfArmed } from '../../core/primitives/crash-points.js';
import { InputRejected, RateLimited, UpstreamPaused } from '../../core/errors.js';
import { UpstreamError } from '../../core/tasks/upstream-error.js';
import { EVENT_ACTORS } from '../../core/events/task-event.js';
import { newId } from '../../core/primitives/ids.js';
import { type SubmitJob } from '../../core/primitives/jobs.js';
import { type Task, type TaskKind } from '../../core/tasks/task.js';
import { type NewTask } from '../../db/tasks/task-row.js';
import { type RawCallback } from '../../db/tasks/task-transition.js';
import { PACED_CLAIM_INTERVAL_MS, PROBE_DELAY_MS, type Reachability } from '../../upstreams/upstream-gate.js';
import { requireCanCreate } from '../access/access.js';
import { resolveEndUser } from '../access/end-user.js';
import { type SignedLinks } from '../access/signed-links.js';
import { type RateLimits } from '../limits/rate-limits.js';
import { sizeOfEdit, type SourceImages } from './source-images.js';
import {
  hashRequest,
  type ImageRequest,
  type SizePolicy,
  validateImageRequest,
} from './request-validation.js';
import { type FinalResult, isFinalResult, type Results } from './results.js';
import { type SubmitOutcomes } from './submit-outcomes.js';
import { type RequestPricing } from '../billing/request-pricing.js';
import { type BackPressure } from './back-pressure.js';
import { FairScheduler } from './fair-scheduler.js';
import { type Dependencies } from '../dependencies.js';

/** What a request is for, and where it came from, apart from its caller. */
export interface RequestOrigin {
  kind: TaskKind;
  /** ID of the HTTP request, as it appears in the log. */
  traceId?: string | null;
  /** The task that this request retries. */
  retryOfId?: string | null;
  /** Default: `reject`. */
  sizePolicy?: SizePolicy;
}

export interface RequestResult {
  task: Task;
  /** True when an earlier request with the same idempotency key created the task. */
  replayed: boolean;
}

export interface GenerationDependencies extends Pick<
  Dependencies,
  'callbacks' | 'eventLog' | 'log' | 'tasks' | 'upstream' | 'upstreamGate'
> {
  backPressure: BackPressure;
  results: Results;
  signedLinks: SignedLinks;
  sourceImages: SourceImages;
  submitOutcomes: SubmitOutcomes;
  pricing: RequestPricing;
  rateLimits: RateLimits;
}

/**
 * The life of a task, in the order in which it happens. A caller requests it, a job submits it, and the upstream's result is
 * received and applied (results.ts). Then its images are ingested (../images/ingest.ts). reconciliation.ts reads results that
 * no callback delivered, and expiry/expiry.ts enforces deadlines. Every step is one compare-and-set, so the second of two
 * concurrent steps finds that the task has moved on and changes nothing.
 */
export class Generation {
  private readonly scheduler: FairScheduler;

  constructor(private readonly deps: GenerationDependencies) {
    this.scheduler = new FairScheduler({ ...deps, maxSubmitting: deps.upstreamGate.limit });
  }

  /**
   * Validates a request, then writes task, event and job in one commit. Once this has returned, the task is certain
   * to reach a final status. Throws InputRejected with every problem found, RateLimited, or Forbidden when the caller
   * may not create tasks. In these cases nothing was written. A request that repeats an idempotency key creates
   * nothing, so no limit or budget rejects it.
   */
  async request(caller: Caller, input: ImageRequest, origin: RequestOrigin): Promise<RequestResult> {
    const { kind, traceId = null, retryOfId = null, sizePolicy } = origin;
    requireCanCreate(caller);
    const endUserId = resolveEndUser(caller, input.endUserId);
    const resolved = await this.deps.sourceImages.resolveOwnLink(caller, input);
    const request = validateImageRequest(kind, resolved, sizePolicy);
    const { workspaceId, keyId, keyLineageId } = caller;
    const newTask = {
      ...request,
      ...this.deps.pricing.priceOf(request.model),
      id: newId(),
      workspaceId,
      keyId,
      keyLineageId,
      endUserId,
      retryOfId,
      traceId,
      inputHash: hashRequest(request, retryOfId, endUserId),
    };
    try {
      return await this.admitAndInsert(caller, newTask);
    } catch (error) {
      if (!(error instanceof RateLimited || error instanceof InputRejected)) throw error;
      // Looked up only when the request is rejected, so that new requests need no extra query.
      const replayed = await this.findReplayed(newTask);
      if (!replayed) throw error;
      return replayed;
    }
  }

  /**
   * Checks the limits, the URLs and the source image of a new task, and inserts it. The limits come first, because they bound the
   * host names that are looked up for a caller.
   */
  private async admitAndInsert(caller: Caller, newTask: NewTask): Promise<RequestResult> {
    const { id, endUserId } = newTask;
    const release = await this.deps.rateLimits.admitGeneration({ ...caller, endUserId }, id);
    const checkAndInsert = async () => {
      const sourceImage = await this.deps.sourceImages.checkUrlsAndAccess(caller, newTask);
      return this.insertTask(caller, { ...newTask, upstreamSize: sizeOfEdit(newTask, sourceImage) });
    };
    const result = await checkAndInsert().catch(async (error: unknown) => {
      await release().catch(() => undefined);
      throw error;
    });
    // The task is known. A lease that cannot be released expires.
    if (result.replayed) await release().catch(() => undefined);
    return result;
  }

  /**
   * Inserts a task, or finds the existing one with the same idempotency key. Throws InputRejected when a budget has
   * no room for the task.
   */
  private async insertTask(caller: Caller, newTask: NewTask): Promise<RequestResult> {
    for (let attempt = 1; ; attempt += 1) {
      const task = await this.deps.tasks.insert(newTask, caller.keyName);
      if (task) {
        this.deps.eventLog.requestSeal();
        return { task, replayed: false };
      }
      const replayed = await this.findReplayed(newTask);
      if (replayed) return replayed;
      await this.deps.pricing.throwIfOverBudget(newTask, attempt);
    }
  }

  /**
   * The task of an earlier request with the same idempotency key. Null when there is none. Throws InputRejected when
   * that request had different input.
   */
  private async findReplayed(newTask: NewTask): Promise<RequestResult | null> {
    const { idempotencyKey } = newTask;
    if (idempotencyKey === null) return null;
    const found = await this.deps.tasks.findByIdempotencyKey({ ...newTask, idempotencyKey });
    if (!found) return null;
    if (found.sameInput) return { task: found, replayed: true };
    const message =
      'This idempotency key was already used for a request with different input. Use a new key for a new request.';
    throw InputRejected.argument('IDEMPOTENCY_CONFLICT', 'idempotencyKey', message);
  }

  /**
   * Submits the next task to the upstream, at most once. Before the first byte leaves, the task is SUBMITTING for
   * this run of the job. A task that an earlier run of the job left in SUBMITTING is not sent again, because the
   * process ended while it was sending. Does nothing when no task is queued. Throws UpstreamPaused while the upstream
   * is down, unless the job could be replaced by a later one.
   */
  async submit(submitJob: SubmitJob): Promise<void> {
    try {
      await this.deps.upstreamGate.run(() => this.submitNext(submitJob));
    } catch (error) {
      if (!(error instanceof UpstreamPaused)) throw error;
      // An earlier run of this job may have left a task in SUBMITTING that only this job finds.
      if (submitJob.runNumber > 1)
        await this.markInterrupted(await this.scheduler.findInterrupted(submitJob));
      // The queue would delay a failed job longer each time, and any task may be waiting for it.
      if (!(await this.deps.tasks.replaceSubmitJob(submitJob, PROBE_DELAY_MS))) throw error;
    }
    this.deps.eventLog.requestSeal();
  }

  private async submitNext(submitJob: SubmitJob): Promise<Reachability> {
    // Claimed only now that the gate has a free slot, so that priorities are decided as late as possible.
    const claim = await this.deps.upstreamGate.claim(() => this.scheduler.claimNext(submitJob));
    const { task, interruptedTaskId, isPaused, isProbe } = claim;
    if (isPaused && !(await this.deps.tasks.replaceSubmitJob(submitJob, PACED_CLAIM_INTERVAL_MS)))
      throw new UpstreamPaused();
    await this.markInterrupted(interruptedTaskId);
    if (!task) return 'not-tried';
    crashIfArmed('submitting-saved');
    const sentAt = performance.now();
    try {
      const request = {
        ...task,
        size: await this.deps.sourceImages.upstreamSize(task),
        count: task.requestedCount,
        sourceImageUrl: this.deps.sourceImages.upstreamSourceUrl(task),
        callbackUrl: this.deps.signedLinks.upstreamCallbackUrl(task.id, task.attempts),
      };
      const result = await this.deps.upstream.submit(request, () => this.maySendAgain(task));
      crashIfArmed(result.kind === 'succeeded' ? 'wait-result-received' : 'response-read');
      await this.deps.submitOutcomes.applyResponse(task, result);
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      const { isUpstreamDown } = await this.deps.submitOutcomes.applyFailure(task, error, sentAt);
      if (isUpstreamDown) return 'unreachable';
      if (error.outcome === 'unknown' || error.backPressure) return 'reached';
    }
    // The task is safe by now, and the next probe makes up for an error.
    if (isProbe) await this.deps.backPressure.applyAcceptance(sentAt);
    return 'reached';
  }

  /** False also when PostgreSQL does not answer, because the task can be canceled or expired then. */
  private async maySendAgain({ id, attempts }: Task): Promise<boolean> {
    const task = await this.deps.tasks.find(id).catch(() => null);
    if (!task) return false;
    return task.status === 'SUBMITTING' && task.attempts === attempts && task.deadlineAt > databaseNow();
  }

  private async markInterrupted(taskId: string | undefined): Promise<void> {
    const task = taskId && (await this.deps.tasks.find(taskId));
    const message = 'The process ended while it was sending the request.';
    if (task) await this.deps.results.markUnconfirmed(task, message);
  }

  /**
   * Applies a body that the upstream posted to a task's callback URL, and saves it with the returned verdict. A body
   * that makes the task final is saved in the same commit. A callback that was saved before, by its ID, gets a new
   * verdict.
   */
  async receiveCallback(taskId: string, callback: RawCallback): Promise<CallbackVerdict> {
    crashIfArmed('callback-read');
    const result = this.parseResult(callback.body);
    const verdict = result
      ? await this.deps.results.apply(taskId, result, { actor: EVENT_ACTORS.upstreamCallback, callback })
      : 'MALFORMED';
    if (verdict !== 'APPLIED' && verdict !== 'EARLY')
      await this.deps.callbacks.save(callback, taskId, verdict);
    crashIfArmed('callback-saved');
    return verdict;
  }

  /** The result in the body of a callback. Null if it is not one. */
  parseResult(body: Uint8Array): FinalResult | null {
    const result = this.deps.upstream.parseCallback(Buffer.from(body));
    return result && isFinalResult(result) ? result : null;
  }
}
