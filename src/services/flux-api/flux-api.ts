import DataLoader from 'dataloader';
import { type Caller, permissionsKey } from '../../core/access/caller.js';
import { AppError, DatabaseUnavailable, ResultNotReady, WriteUnconfirmed } from '../../core/errors.js';
import { type Image } from '../../core/images/image.js';
import { type Task, type TaskKind } from '../../core/tasks/task.js';
import { type SignedLinks } from '../access/signed-links.js';
import { type FluxReply, fluxReplyOf, fluxTaskOf } from './flux-reply.js';
import { type Generation } from '../tasks/generation.js';
import { type TaskReads, type TaskListing } from '../tasks/task-reads.js';
import { type ImageRequest } from '../tasks/request-validation.js';
import { type HeldRequest } from './held-requests.js';

/** A request to `/flux/images`, translated to Darkroom's terms. */
export interface FluxImageRequest {
  kind: TaskKind;
  request: ImageRequest;
  /** True when the request has neither `callback_url` nor `async`, so that the response is the result itself. */
  waitForResult: boolean;
}

/** Results that are read together when many tasks settle at the same time. */
const RESULTS_PER_BATCH = 100;
const UNCONFIRMED_ADVICE =
  'Send it again with the same Idempotency-Key, and nothing is created twice. If it had none, look for the task first.';

interface ResultKey {
  caller: Caller;
  taskId: string;
}
type TaskWithImages = [task: Task | null, images: Image[]];

/**
 * Implements the Flux API. Its requests become ordinary tasks, and tasks of every transport are shown in its format.
 */
export class FluxApi {
  private readonly resultLoader = new DataLoader<ResultKey, TaskWithImages, ResultKey>(
    (keys) => this.loadResults(keys),
    {
      cache: false,
      maxBatchSize: RESULTS_PER_BATCH,
      batchScheduleFn: (run) => void setImmediate(run),
    },
  );

  constructor(
    private readonly deps: { generation: Generation; taskReads: TaskReads; signedLinks: SignedLinks },
  ) {}

  /**
   * Creates a task. Once this has returned, the task is certain to reach a final status. Throws what
   * `Generation.request` throws on purpose, and WriteUnconfirmed after any other error. Such an error would be `api_error`, after
   * which clients send the request again by themselves, although the task may exist.
   */
  async createTask(caller: Caller, { kind, request }: FluxImageRequest, traceId: string): Promise<Task> {
    try {
      // The hosted API's clients send one size whatever the model.
      const origin = { kind, traceId, sizePolicy: 'nearest' as const };
      return (await this.deps.generation.request(caller, request, origin)).task;
    } catch (error) {
      if (error instanceof AppError && !(error instanceof DatabaseUnavailable)) throw error;
      throw new WriteUnconfirmed(error, UNCONFIRMED_ADVICE);
    }
  }

  /**
   * Creates a task and waits for its result. Returns null when the client has disconnected, and the task continues.
   * Throws what `createTask` throws, and ResultNotReady when there is no result to return. That includes a key that
   * was revoked in the meantime: a 401 would suggest that nothing was created, and a retry with another key would be
   * billed again.
   */
  async createAndWait(
    caller: Caller,
    request: FluxImageRequest,
    { traceId, heldRequest }: { traceId: string; heldRequest: HeldRequest },
  ): Promise<FluxReply | null> {
    const task = await this.createTask(caller, request, traceId);
    // Any other error would suggest that nothing was created.
    const unread = (cause: unknown): never => {
      throw new ResultNotReady(task.id, 'unread', { cause });
    };
    const reason = await heldRequest.waitFor(task).catch(unread);
    if (reason === 'left') return null;
    if (reason !== 'settled') throw new ResultNotReady(task.id, reason);
    try {
      const [settled, images] = await this.resultLoader.load({ caller, taskId: task.id });
      if (!settled) throw new Error('The settled task cannot be found.');
      return { ...fluxReplyOf(settled, images, { imageUrlOf: this.imageUrlOf }), trace_id: traceId };
    } catch (cause) {
      return unread(cause);
    }
  }

  /**
   * The caller's tasks with these IDs, in the given order and each once. IDs of other workspaces are treated as
   * unknown.
   */
  async retrieve(caller: Caller, ids: readonly string[]): Promise<object[]> {
    const found = (await this.deps.taskReads.tasks(caller, ids)).filter((task) => task !== null);
    return this.toFluxTasks(caller, [...new Set(found)]);
  }

  /**
   * The caller's tasks in a listing, newest first, and the number of all that match, up to 1,000. Throws BadRequest for an
   * offset beyond that.
   */
  async list(caller: Caller, listing: TaskListing): Promise<{ items: object[]; count: number }> {
    const { tasks, count } = await this.deps.taskReads.listTasks(caller, listing);
    return { items: await this.toFluxTasks(caller, tasks), count };
  }

  private async toFluxTasks(caller: Caller, tasks: readonly Task[]): Promise<object[]> {
    const ids = tasks.map((task) => task.id);
    const images = await this.deps.taskReads.imagesByTask(caller, ids);
    return tasks.map((task, index) => fluxTaskOf(task, images[index] ?? [], this.imageUrlOf));
  }

  private readonly imageUrlOf = (imageId: string) => this.deps.signedLinks.imageUrl(imageId);

  /** Runs one statement per workspace for the images, and one per set of permissions for the tasks. */
  private async loadResults(keys: readonly ResultKey[]): Promise<TaskWithImages[]> {
    const ids = keys.map(({ taskId }) => taskId);
    const callerByPermissions = new Map(keys.map(({ caller }) => [permissionsKey(caller), caller]));
    const callerByWorkspace = new Map(keys.map(({ caller }) => [caller.workspaceId, caller]));
    const [images, tasks] = await Promise.all([
      Promise.all(
        [...callerByWorkspace.values()].map((caller) => this.deps.taskReads.imagesByTask(caller, ids)),
      ),
      Promise.all([...callerByPermissions.values()].map((caller) => this.deps.taskReads.tasks(caller, ids))),
    ]);
    const byId = new Map(tasks.flat().map((task) => [task?.id, task]));
    return ids.map((id, index) => [
      byId.get(id) ?? null,
      images.flatMap((imagesByTask) => imagesByTask[index] ?? []),
    ]);
  }
}
