import { LRUCache } from 'lru-cache';
import { type FluxErrorBody } from '../../core/flux-api/flux-errors.js';
import { newId } from '../../core/primitives/ids.js';
import { type SandboxImageRequest } from '../http/parse-request.js';

/** One image of a reply. `seed` and `timings` have several shapes, as in the real API. */
export interface ReplyImage {
  prompt: string;
  image_url: string;
  seed?: number | string;
  timings: number | { inference: number };
}

/** The outcome of a generation: the body of a synchronous reply and of a callback, and a task's `response`. */
export type GenerationOutcome =
  | { success: true; task_id: string; trace_id: string; data: ReplyImage[] }
  | { success: false; task_id: string; trace_id: string; error: FluxErrorBody };

/** An accepted submission. Times are Unix milliseconds. */
export interface SandboxTask {
  readonly id: string;
  readonly traceId: string;
  readonly request: SandboxImageRequest;
  readonly startedAtMs: number;
  /** Null while the task runs. */
  completion: { atMs: number; outcome: GenerationOutcome } | null;
}

/** Which tasks to list. Both times are Unix seconds and inclusive. */
export interface SandboxTaskListing {
  created_at_min: number;
  created_at_max: number;
  offset: number;
  limit: number;
  type: string;
}

/** Enough for any load test. The least recently used are dropped first. */
const MAX_TASKS = 100_000;

/** All accepted submissions, and how `/flux/tasks` shows them. */
export class SandboxTaskStore {
  // With `max` the cache would allocate all its places at once.
  private readonly tasks = new LRUCache<string, SandboxTask>({
    maxSize: MAX_TASKS,
    sizeCalculation: () => 1,
  });

  create(request: SandboxImageRequest): SandboxTask {
    const task: SandboxTask = {
      id: newId(),
      traceId: newId(),
      request,
      startedAtMs: Date.now(),
      completion: null,
    };
    this.tasks.set(task.id, task);
    return task;
  }

  /** The task, or `{}` for an unknown ID. */
  retrieve(id: string): object {
    return this.retrieveBatch([id]).items[0] ?? {};
  }

  /** The known tasks among the IDs, in their order and without duplicates. */
  retrieveBatch(ids: readonly string[]): { items: object[]; count: number } {
    const items = [...new Set(ids)].flatMap((id) => {
      const task = this.tasks.get(id);
      return task ? [toTaskView(task)] : [];
    });
    return { items, count: items.length };
  }

  /** The tasks in the listing, newest first, and the number of all that match. */
  list({ created_at_min: min, created_at_max: max, offset, limit, type }: SandboxTaskListing): {
    items: object[];
    count: number;
  } {
    const matching = [...this.tasks.values()]
      .filter(({ startedAtMs }) => startedAtMs / 1000 >= min && startedAtMs / 1000 <= max)
      .filter(() => type === 'images')
      .sort((one, other) => other.startedAtMs - one.startedAtMs || (one.id < other.id ? 1 : -1));
    return { items: matching.slice(offset, offset + limit).map(toTaskView), count: matching.length };
  }
}

function toTaskView(task: SandboxTask): object {
  const started = task.startedAtMs / 1000;
  const baseFields = { id: task.id, type: 'images', created_at: started, started_at: started };
  const request = task.request.rawFields;
  if (task.completion) {
    const elapsed = (task.completion.atMs - task.startedAtMs) / 1000;
    const finishedFields = { finished_at: task.completion.atMs / 1000, elapsed, trace_id: task.traceId };
    return { ...baseFields, ...finishedFields, request, response: task.completion.outcome };
  }
  if (task.request.directives.hiccup) {
    return { ...baseFields, request, response: { success: false, error: 'retrying' } };
  }
  // As Darkroom's own Flux API: clients of either see the same.
  return { ...baseFields, trace_id: task.traceId, request, response: {} };
}
