import DataLoader from 'dataloader';
import { type Caller, rightsOf } from '../../core/access/caller.js';
import { DatabaseUnavailable, WaitEnded, WriteUnconfirmed } from '../../core/errors.js';
import { type Image } from '../../core/images/image.js';
import { type Task, type TaskKind } from '../../core/tasks/task.js';
import { type Addresses } from '../access/signed-links.js';
import { type FluxReply, replyOf, viewOf } from './flux-reply.js';
import { type Generation } from '../tasks/generation.js';
import { type History } from '../tasks/history.js';
import { type Wish } from '../tasks/request-validation.js';
import { type Hold } from './held-requests.js';

/** What `/flux/images` is asked for, in our words. */
export interface FluxOrder {
  kind: TaskKind;
  wish: Wish;
  /** Neither a callback nor `async`: the answer is the result itself. */
  waits: boolean;
}

/** Results that are read together when many settle at once. */
const READ_AT_ONCE = 100;

interface Waiter {
  caller: Caller;
  taskId: string;
}
type Result = [task: Task | null, images: Image[]];

/** The Flux API, spoken by us: its orders become tasks like any other, and tasks of every door are shown in its form. */
export class FluxApi {
  private readonly linkOf: (imageId: string) => string;
  private readonly results = new DataLoader<Waiter, Result, Waiter>((waiters) => this.readResults(waiters), {
    cache: false,
    maxBatchSize: READ_AT_ONCE,
    batchScheduleFn: (run) => void setImmediate(run),
  });

  constructor(
    private readonly generation: Generation,
    private readonly history: History,
    addresses: Addresses,
  ) {
    this.linkOf = (imageId) => addresses.image(imageId);
  }

  /**
   * Takes an order; once this has returned, its task will reach an end. Throws InputRejected, and WriteUnconfirmed when
   * Postgres went away meanwhile.
   */
  async take(caller: Caller, { kind, wish }: FluxOrder, traceId: string): Promise<Task> {
    try {
      return (await this.generation.request(caller, kind, wish, { traceId })).task;
    } catch (error) {
      throw error instanceof DatabaseUnavailable ? new WriteUnconfirmed(error) : error;
    }
  }

  /**
   * Takes an order and answers with its result; null when its client has left, and the task goes on. Throws what `take`
   * does, and WaitEnded when there is no result to show: also when the key was revoked meanwhile, for a 401 would say that
   * nothing was made, and whoever then asked with another key would pay again.
   */
  async fulfil(caller: Caller, order: FluxOrder, traceId: string, hold: Hold): Promise<FluxReply | null> {
    const task = await this.take(caller, order, traceId);
    const end = await hold.settled(task);
    if (end === 'left') return null;
    if (end !== 'settled') throw new WaitEnded(task.id, end);
    try {
      const [settled, images] = await this.results.load({ caller, taskId: task.id });
      if (!settled) throw new Error('The task is not there any more.');
      return { ...replyOf(settled, images, this.linkOf), trace_id: traceId };
    } catch (cause) {
      // Any other error would say that nothing was made.
      throw new WaitEnded(task.id, 'unread', { cause });
    }
  }

  /** The caller's tasks among these ids, in their order and each once. What is foreign is as absent as what never was. */
  async views(caller: Caller, ids: readonly string[]): Promise<object[]> {
    const found = (await this.history.tasks(caller, ids)).filter((task) => task !== null);
    const tasks = [...new Set(found)];
    const images = await this.history.imagesOf(
      caller,
      tasks.map((task) => task.id),
    );
    return tasks.map((task, index) => viewOf(task, images[index] ?? [], this.linkOf));
  }

  /** One statement for the images of each workspace, and one for the tasks of each group with the same rights. */
  private async readResults(waiters: readonly Waiter[]): Promise<Result[]> {
    const ids = waiters.map(({ taskId }) => taskId);
    const callers = new Map(waiters.map(({ caller }) => [rightsOf(caller), caller]));
    const ofWorkspace = new Map(waiters.map(({ caller }) => [caller.workspaceId, caller]));
    const [images, tasks] = await Promise.all([
      Promise.all([...ofWorkspace.values()].map((caller) => this.history.imagesOf(caller, ids))),
      Promise.all([...callers.values()].map((caller) => this.history.tasks(caller, ids))),
    ]);
    const byId = new Map(tasks.flat().map((task) => [task?.id, task]));
    return ids.map((id, index) => [byId.get(id) ?? null, images.flatMap((ofTasks) => ofTasks[index] ?? [])]);
  }
}
