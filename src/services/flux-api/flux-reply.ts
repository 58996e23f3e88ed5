import { apiError, type ApiErrorBody, type ApiErrorCode } from '../../core/flux-api/flux-error.js';
import { type TaskErrorCode } from '../../core/tasks/task-failure.js';
import { type Image, type Reported } from '../../core/images/image.js';
import { type OutgoingCallbackKind } from '../../core/webhooks/webhook-delivery.js';
import { isEnd, type Task } from '../../core/tasks/task.js';

/** One picture as the Flux API shows it. */
export interface FluxPicture {
  prompt: string;
  /** Ours, and it lasts. */
  image_url: string;
  /** As the upstream gave it: a number, a text, or absent. */
  seed?: unknown;
  /** As the upstream gave it: a number or `{inference: seconds}`, or absent. */
  timings?: unknown;
}

/** How a task ended, as the Flux API says it: the reply to who waited, a callback, and a task's `response`. */
export type FluxReply =
  | { success: true; task_id: string; trace_id: string; data: FluxPicture[] }
  | { success: false; task_id: string; trace_id: string; error: ApiErrorBody };

/** What the Flux API calls a task's failure. What it says to do next holds: `api_error` can be tried again, `timeout` not blindly. */
export const FLUX_FAILURES: Readonly<Record<TaskErrorCode, ApiErrorCode>> = {
  CONTENT_REJECTED: 'forbidden',
  UPSTREAM_OUT_OF_CREDIT: 'used_up',
  // Our token, not the caller's: `invalid_token` would send the caller looking for a fault of his own.
  UPSTREAM_CREDENTIALS: 'api_error',
  UPSTREAM_DISABLED: 'disabled',
  UPSTREAM_BAD_REQUEST: 'bad_request',
  UPSTREAM_RATE_LIMITED: 'too_many_requests',
  UPSTREAM_FAILED: 'api_error',
  UPSTREAM_UNREACHABLE: 'api_error',
  SUBMIT_UNCONFIRMED: 'timeout',
  DEADLINE_EXCEEDED: 'timeout',
};

/** Whether nothing more is expected of the task: it has ended, and its pictures are stored or lost. */
export function isSettled(task: Task): boolean {
  return isEnd(task.status) && task.pendingImages === 0;
}

/**
 * What became of a settled task. `kind`: how it ended, or the pictures that came after that; absent: the better of the two.
 * A picture that was lost or deleted is left out.
 */
export function replyOf(
  task: Task,
  images: readonly Image[],
  linkOf: (imageId: string) => string,
  kind?: OutgoingCallbackKind,
): FluxReply {
  const ids = { task_id: task.id, trace_id: task.traceId ?? task.id };
  const isLate = kind ? kind === 'LATE_RESULT' : task.status !== 'SUCCEEDED';
  const pictures = images.filter((image) => image.late === isLate);
  const kept = pictures.filter((image) => image.storedAt && !image.deletedAt);
  if (kept.length === 0 && task.status !== 'SUCCEEDED' && kind !== 'LATE_RESULT') {
    return { success: false, ...ids, error: errorOf(task) };
  }
  if (pictures.every((image) => image.lostAt)) {
    const message =
      'The pictures were made, and the links that the upstream gave do not serve them. Ask again.';
    return { success: false, ...ids, error: apiError('api_error', message) };
  }
  return { success: true, ...ids, data: kept.map((image) => pictureOf(task, image, linkOf)) };
}

/** A task as `/flux/tasks` shows it. Times are Unix seconds with a fraction. */
export function viewOf(task: Task, images: readonly Image[], linkOf: (imageId: string) => string): object {
  const seconds = (date: Date) => date.getTime() / 1000;
  const started = seconds(task.createdAt);
  const finished = task.finishedAt && isSettled(task) ? seconds(task.finishedAt) : null;
  return {
    id: task.id,
    type: 'images',
    created_at: started,
    started_at: started,
    ...(finished !== null && {
      finished_at: finished,
      elapsed: Math.max(0, finished - started),
    }),
    trace_id: task.traceId ?? task.id,
    request: requestOf(task, linkOf),
    ...(finished !== null && { response: replyOf(task, images, linkOf) }),
  };
}

function requestOf(task: Task, linkOf: (imageId: string) => string): object {
  const isEdit = task.kind === 'EDIT';
  const imageUrl = task.sourceImageId ? linkOf(task.sourceImageId) : task.sourceImageUrl;
  return {
    action: isEdit ? 'edit' : 'generate',
    prompt: task.prompt,
    model: task.model,
    ...(task.size !== null && { size: task.size }),
    ...(isEdit ? { image_url: imageUrl } : { count: task.requestedCount }),
    ...(task.callbackUrl !== null && { callback_url: task.callbackUrl }),
  };
}

function errorOf(task: Task): ApiErrorBody {
  if (task.failure) return apiError(FLUX_FAILURES[task.failure.code], task.failure.message);
  // Not `api_error`, which asks to be tried again: somebody did not want these pictures any more.
  return apiError('bad_request', 'The task was canceled. Send a new request for new pictures.');
}

/** Rows from before `reported` was kept have the two in our own forms. */
function pictureOf(task: Task, image: Image, linkOf: (imageId: string) => string): FluxPicture {
  const { seed, timings } = (image.reported ?? {
    seed: image.seed ?? undefined,
    timings: image.inferenceSeconds === null ? undefined : { inference: image.inferenceSeconds },
  }) as Reported;
  return {
    prompt: task.prompt,
    image_url: linkOf(image.id),
    ...(seed !== undefined && { seed }),
    ...(timings !== undefined && { timings }),
  };
}
