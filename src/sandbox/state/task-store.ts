import { type ApiErrorBody } from '../../core/flux-api/flux-error.js';
import { newId } from '../../core/primitives/ids.js';
import { BoundedMap } from './bounded-map.js';
import { type ImageRequest } from '../http/parse-request.js';

/** One picture of a reply. `seed` and `timings` come in several shapes, as they do from the real API. */
export interface ReplyPicture {
  prompt: string;
  image_url: string;
  seed?: number | string;
  timings: number | { inference: number };
}

/** How a generation ended: the body of a waited reply and of a callback, and a task's `response`. */
export type Outcome =
  | { success: true; task_id: string; trace_id: string; data: ReplyPicture[] }
  | { success: false; task_id: string; trace_id: string; error: ApiErrorBody };

/** A submission that was accepted. Times are milliseconds since 1970. */
export interface SandboxTask {
  readonly id: string;
  readonly traceId: string;
  readonly request: ImageRequest;
  readonly startedAtMs: number;
  /** Null while it runs. */
  end: { atMs: number; outcome: Outcome } | null;
}

/** What `/flux/tasks` answers for one id: the task's fields, or nothing for an unknown id. */
export type TaskView = Record<string, unknown>;

/** Enough for any load test; the oldest are forgotten first. */
const MAX_TASKS = 100_000;

/** Every accepted submission, in the shapes that `/flux/tasks` answers with. */
export class TaskBook {
  private readonly tasks = new BoundedMap<SandboxTask>(MAX_TASKS);

  open(request: ImageRequest): SandboxTask {
    const task: SandboxTask = { id: newId(), traceId: newId(), request, startedAtMs: Date.now(), end: null };
    this.tasks.set(task.id, task);
    return task;
  }

  /** `{}` for an id that is not known. */
  retrieve(id: string): TaskView {
    const task = this.tasks.get(id);
    return task ? view(task) : {};
  }

  /** The known ones among the ids, in their order, each once. */
  retrieveBatch(ids: readonly string[]): { items: TaskView[]; count: number } {
    const items = [...new Set(ids)].flatMap((id) => {
      const task = this.tasks.get(id);
      return task ? [view(task)] : [];
    });
    return { items, count: items.length };
  }
}

function view(task: SandboxTask): TaskView {
  const started = task.startedAtMs / 1000;
  const opened = { id: task.id, type: 'images', created_at: started, started_at: started };
  const request = task.request.echo;
  if (task.end) {
    const elapsed = (task.end.atMs - task.startedAtMs) / 1000;
    const over = { finished_at: task.end.atMs / 1000, elapsed, trace_id: task.traceId };
    return { ...opened, ...over, request, response: task.end.outcome };
  }
  if (task.request.directives.hiccup) {
    return { ...opened, request, response: { success: false, error: 'retrying' } };
  }
  return { ...opened, trace_id: task.traceId, request };
}
