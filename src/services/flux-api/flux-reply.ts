import { type z } from 'zod';
import { fluxCodeOf, fluxError, type FluxErrorBody } from '../../core/flux-api/flux-errors.js';
import { type Image, type UpstreamMetadata } from '../../core/images/image.js';
import { linkExpiry } from '../../core/images/link-expiry.js';
import { type WebhookDeliveryKind } from '../../core/webhooks/webhook-delivery.js';
import { isFinal, type Task } from '../../core/tasks/task.js';
import {
  type failedReply,
  type imageSchema,
  type pendingReply,
  type resultReply,
} from './flux-reply-schemas.js';

/** An image in the format of the Flux API. */
export type FluxImage = z.infer<typeof imageSchema>;

/** The outcome of a task in the format of the Flux API. Held requests, webhooks and a task's `response` have it. */
export type FluxReply = z.infer<typeof resultReply> | z.infer<typeof failedReply>;

/**
 * The response of a task that has not finished. Without a response, the hosted API's SDKs take any `*_url` of the task's
 * request for the result. With `success` or any other content, its command line tool, MCP server and guide take the task for
 * finished.
 */
const PENDING_REPLY: z.infer<typeof pendingReply> = {};

/** Whether the task is settled: its status is final, and each of its images is stored or lost. */
export function isSettled(task: Task): boolean {
  return isFinal(task.status) && task.pendingImages === 0;
}

/**
 * The outcome of a settled task. `kind` selects the result itself or the images that arrived after it. Without
 * `kind`, a successful result comes first, and otherwise late images do. Lost and deleted images are left out.
 */
export function fluxReplyOf(
  task: Task,
  images: readonly Image[],
  { imageUrlOf, kind }: { imageUrlOf: (imageId: string) => string; kind?: WebhookDeliveryKind },
): FluxReply {
  const ids = { task_id: task.id, trace_id: task.traceId ?? task.id };
  const isLate = kind ? kind === 'LATE_RESULT' : task.status !== 'SUCCEEDED';
  const resultImages = images.filter((image) => image.late === isLate);
  const availableImages = resultImages.filter((image) => image.storedAt && !image.deletedAt);
  if (availableImages.length === 0 && task.status !== 'SUCCEEDED' && kind !== 'LATE_RESULT') {
    return { success: false, ...ids, error: fluxErrorOf(task) };
  }
  if (resultImages.every((image) => image.lostAt)) {
    // `api_error` would invite a retry, which is paid for a second time.
    return { success: false, ...ids, error: fluxError('timeout', lostImagesMessage(resultImages)) };
  }
  return {
    success: true,
    ...ids,
    data: availableImages.map((image) => fluxImageOf(task, image, imageUrlOf)),
  };
}

/** The upstream's links may still work for the client. */
function lostImagesMessage(images: readonly Image[]): string {
  const links = images.flatMap(({ upstreamUrl }) => {
    if (upstreamUrl === null) return [];
    const expiresAt = linkExpiry(upstreamUrl);
    return [expiresAt ? `${upstreamUrl} (until ${expiresAt.toISOString()})` : upstreamUrl];
  });
  const message =
    'The images were generated, but could not be downloaded from the upstream. A new request is billed again.';
  return links.length === 0
    ? message
    : `${message} The upstream's links may still work: ${links.join(' , ')}`;
}

/** A task in the format of `/flux/tasks`. Times are Unix seconds with a fraction. */
export function fluxTaskOf(
  task: Task,
  images: readonly Image[],
  imageUrlOf: (imageId: string) => string,
): object {
  const toUnixSeconds = (date: Date) => date.getTime() / 1000;
  const startedAt = toUnixSeconds(task.createdAt);
  const finishedAt = task.finishedAt && isSettled(task) ? toUnixSeconds(task.finishedAt) : null;
  return {
    id: task.id,
    type: 'images',
    created_at: startedAt,
    started_at: startedAt,
    ...(finishedAt !== null && {
      finished_at: finishedAt,
      elapsed: Math.max(0, finishedAt - startedAt),
    }),
    trace_id: task.traceId ?? task.id,
    request: fluxRequestOf(task, imageUrlOf),
    response: finishedAt === null ? PENDING_REPLY : fluxReplyOf(task, images, { imageUrlOf }),
  };
}

function fluxRequestOf(task: Task, imageUrlOf: (imageId: string) => string): object {
  const isEdit = task.kind === 'EDIT';
  const imageUrl = task.sourceImageId ? imageUrlOf(task.sourceImageId) : task.sourceImageUrl;
  return {
    action: isEdit ? 'edit' : 'generate',
    prompt: task.prompt,
    model: task.model,
    ...(task.size !== null && { size: task.size }),
    ...(task.requestedSize != null && { requested_size: task.requestedSize }),
    ...(isEdit ? { image_url: imageUrl } : { count: task.requestedCount }),
    ...(task.webhookUrl !== null && { callback_url: task.webhookUrl }),
  };
}

function fluxErrorOf(task: Task): FluxErrorBody {
  if (task.failure) return fluxError(fluxCodeOf(task.failure), task.failure.message);
  // `api_error` would invite a retry of a task that was canceled on purpose.
  return fluxError('bad_request', 'The task was canceled. Send a new request for new images.');
}

function fluxImageOf(task: Task, image: Image, imageUrlOf: (imageId: string) => string): FluxImage {
  const { seed, timings } = (image.upstreamMetadata ?? {}) as UpstreamMetadata;
  return {
    prompt: task.prompt,
    image_url: imageUrlOf(image.id),
    ...(seed !== undefined && { seed }),
    ...(timings !== undefined && { timings }),
  };
}
