import { type TaskFailure } from '../core/tasks/task-failure.js';
import { type Reported } from '../core/images/image.js';
import { type TaskKind } from '../core/tasks/task.js';

/**
 * How a result comes back. `callback`: it is posted to the callback URL. `async`: it is read, and also posted when there
 * is a callback URL. `wait`: the connection is held until it is there.
 */
export type FluxMode = 'callback' | 'async' | 'wait';

export interface SubmitRequest {
  kind: TaskKind;
  prompt: string;
  model: string;
  /** Null: the model's default. */
  size: string | null;
  /** Sent for GENERATE only; an edit makes one picture. */
  count: number;
  /** Sent for EDIT only. */
  sourceImageUrl: string | null;
  /** Sent whenever it is there, except in the mode `wait`. */
  callbackUrl: string | null;
}

export interface UpstreamPicture {
  /** http or https. Nobody promises how long it works. */
  url: string;
  seed: string | null;
  inferenceSeconds: number | null;
  /** `seed` and `timings` as they came. */
  reported: Reported;
}

interface UpstreamIds {
  upstreamTaskId: string | null;
  upstreamTraceId: string | null;
}
/** The upstream has taken the task and is at work. */
export interface Accepted extends UpstreamIds {
  kind: 'accepted';
  upstreamTaskId: string;
}
/** Not over; only reading says so. */
export interface Running extends UpstreamIds {
  kind: 'running';
}
/** At least one picture, perhaps fewer than were asked for. */
export interface Succeeded extends UpstreamIds {
  kind: 'succeeded';
  pictures: UpstreamPicture[];
}
/** It is over and there is no picture. */
export interface Failed extends UpstreamIds {
  kind: 'failed';
  failure: TaskFailure;
}
/** What a reply, a callback or a read task says. */
export type UpstreamResult = Accepted | Running | Succeeded | Failed;
