import { type TaskFailure } from '../core/tasks/task-failure.js';
import { type UpstreamMetadata } from '../core/images/image.js';
import { type TaskKind } from '../core/tasks/task.js';

/**
 * How results are delivered. `callback`: the upstream posts them to the callback URL. `async`: the client reads them, and they
 * are also posted if there is a callback URL. `wait`: the upstream keeps the connection open until the result is ready.
 */
export type FluxMode = 'callback' | 'async' | 'wait';

export interface SubmitRequest {
  kind: TaskKind;
  prompt: string;
  model: string;
  /** Null for the model's default. */
  size: string | null;
  /** Number of images. Sent for GENERATE only, because an edit produces one image. */
  count: number;
  /** Sent for EDIT only. */
  sourceImageUrl: string | null;
  /** Sent if present, except in `wait` mode. */
  callbackUrl: string | null;
}

export interface UpstreamImage {
  /** An http or https URL. The upstream does not promise how long it remains valid. */
  upstreamUrl: string;
  seed: string | null;
  inferenceSeconds: number | null;
  /** `seed` and `timings` exactly as received. */
  upstreamMetadata: UpstreamMetadata;
}

interface UpstreamIds {
  upstreamTaskId: string | null;
  upstreamTraceId: string | null;
}
/** The upstream has accepted the task and is working on it. */
export interface UpstreamAccepted extends UpstreamIds {
  kind: 'accepted';
  upstreamTaskId: string;
}
/** Not finished yet. Only a read reports this. */
export interface UpstreamRunning extends UpstreamIds {
  kind: 'running';
}
/** At least one image, possibly fewer than requested. */
export interface UpstreamSucceeded extends UpstreamIds {
  kind: 'succeeded';
  images: UpstreamImage[];
}
/** Finished without an image. */
export interface UpstreamFailed extends UpstreamIds {
  kind: 'failed';
  failure: TaskFailure;
}
/** The meaning of a reply, a callback or a task that was read. */
export type UpstreamResult = UpstreamAccepted | UpstreamRunning | UpstreamSucceeded | UpstreamFailed;
