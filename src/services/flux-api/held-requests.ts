import { once } from 'node:events';
import { type Caller } from '../../core/access/caller.js';
import { type Task } from '../../core/tasks/task.js';
import { type OpenConnections } from '../limits/open-connections.js';
import { isSettled } from './flux-reply.js';
import { type EventSubscriptions } from '../events/event-subscriptions.js';

/** Why a request is no longer held. `left`: its client disconnected, or its response was sent. */
export type HoldEndReason = 'settled' | 'timed-out' | 'going-away' | 'api-key-revoked' | 'left';

interface HeldRequestsDependencies {
  connections: OpenConnections;
  eventSubscriptions: EventSubscriptions;
  /** Maximum time for which a request is held. */
  maxHoldMs: number;
}

/**
 * Holds requests until their tasks are settled. The event log reports that, so waiting needs neither polling nor
 * queries.
 */
export class HeldRequests {
  private readonly heldRequests = new Set<HeldRequest>();
  private isStopping = false;

  constructor(private readonly deps: HeldRequestsDependencies) {}

  /**
   * Acquires a connection slot for a request. Must be called before the task is created, because a rejection after
   * that would make the caller send, and pay for, the request again. The caller must finish the held request. Throws
   * TooManyConnections.
   */
  async hold(caller: Caller): Promise<HeldRequest> {
    const heldRequest = new HeldRequest((task) => this.waitUntilSettled(heldRequest, task));
    const { release, acquired } = this.deps.connections.acquire(caller, () =>
      heldRequest.finish('api-key-revoked'),
    );
    heldRequest.onEnd(release);
    await acquired;
    this.heldRequests.add(heldRequest);
    heldRequest.onEnd(() => this.heldRequests.delete(heldRequest));
    return heldRequest;
  }

  /** Finishes all held requests, those whose task is settled by now with their result. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await this.deps.eventSubscriptions.flush();
    for (const heldRequest of [...this.heldRequests]) heldRequest.finish('going-away');
  }

  private waitUntilSettled(heldRequest: HeldRequest, task: Task): void {
    if (isSettled(task)) return heldRequest.finish('settled');
    if (this.isStopping) return heldRequest.finish('going-away');
    const timer = setTimeout(() => heldRequest.finish('timed-out'), this.deps.maxHoldMs);
    heldRequest.onEnd(() => clearTimeout(timer));
    heldRequest.onEnd(this.deps.eventSubscriptions.onSettled(task, () => heldRequest.finish('settled')));
  }
}

/**
 * One held request.
 *
 *   created -> waiting for its task -> finished
 *      +-----------------------------------^   its client disconnected, its API key was revoked, or it was rejected
 */
export class HeldRequest {
  /** Aborted with the reason when the request is finished. */
  private readonly controller = new AbortController();

  constructor(private readonly startWaiting: (task: Task) => void) {}

  /** Waits until the task is settled or the request is finished for another reason. */
  async waitFor(task: Task): Promise<HoldEndReason> {
    const { signal } = this.controller;
    if (!signal.aborted) {
      const finished = once(signal, 'abort');
      this.startWaiting(task);
      await finished;
    }
    return signal.reason as HoldEndReason;
  }

  /** Runs `cleanup` when the request is finished, at once when it already is. */
  onEnd(cleanup: () => void): void {
    if (this.controller.signal.aborted) cleanup();
    else this.controller.signal.addEventListener('abort', cleanup);
  }

  /** Finishes the request. Only the first reason counts. */
  finish(reason: HoldEndReason): void {
    this.controller.abort(reason);
  }
}
