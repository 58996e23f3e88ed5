import { type UpstreamPicture } from './acedata-types.js';
import { parseUrl } from '../core/primitives/url.js';

/**
 * Reads the upstream's JSON without trusting its shape: a field of an unexpected type counts as absent, and nothing here
 * throws. Hand-written, because a schema that accepts every shape seen so far would be longer than these functions.
 */

export interface WireError {
  /** Null when the error is a bare string or an object without a code. */
  code: string | null;
  message: string | null;
}

/** A waited or immediate reply, a callback, or the `response` of a read task: they share one shape. */
export interface WireReply {
  taskId: string | null;
  traceId: string | null;
  /** Null when the field is missing. */
  success: boolean | null;
  /** Null when there is no `data`. Entries without a link that could be fetched are left out. */
  pictures: UpstreamPicture[] | null;
  error: WireError | null;
}

export interface WireTask {
  id: string | null;
  traceId: string | null;
  isFinished: boolean;
  response: WireReply;
}

type Fields = Record<string, unknown>;

/** Seeds and timings have tens. */
const MAX_AS_IT_CAME = 1_024;
/** NUL, or half of a character, as JSON writes them. */
const UNKEEPABLE = /\\u(?:0000|d[89a-f])/;

/** The value, or undefined when the text is not JSON. (JSON has no undefined of its own.) */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Null when the value is not a JSON object. */
export function readReply(value: unknown): WireReply | null {
  if (!isFields(value)) return null;
  return {
    taskId: readText(value['task_id']),
    traceId: readText(value['trace_id']),
    success: typeof value['success'] === 'boolean' ? value['success'] : null,
    pictures: Array.isArray(value['data']) ? readPictures(value['data']) : null,
    error: readError(value['error']),
  };
}

/**
 * The tasks in the answer to `retrieve_batch`. A lone task and `{}` (the answer to `retrieve` for an unknown id) are
 * taken too. Null when the value is something else: that must not be mistaken for "no such task".
 */
export function readTasks(value: unknown): WireTask[] | null {
  if (!isFields(value)) return null;
  if (Array.isArray(value['items'])) return value['items'].filter(isFields).map(readTask);
  if (Object.keys(value).length === 0) return [];
  return readText(value['id']) === null ? null : [readTask(value)];
}

function readTask(task: Fields): WireTask {
  const response = readReply(isFields(task['response']) ? task['response'] : {});
  return {
    id: readText(task['id']) ?? response?.taskId ?? null,
    traceId: response?.traceId ?? readText(task['trace_id']),
    isFinished: readText(task['finished_at']) !== null,
    response: response ?? NOTHING,
  };
}

const NOTHING: WireReply = { taskId: null, traceId: null, success: null, pictures: null, error: null };

function readError(error: unknown): WireError | null {
  if (isFields(error)) return { code: readText(error['code']), message: readText(error['message']) };
  const message = readText(error);
  return message === null ? null : { code: null, message };
}

function readPictures(data: unknown[]): UpstreamPicture[] {
  return data.filter(isFields).flatMap((entry) => {
    const url = readText(entry['image_url']);
    if (url === null || !isHttpUrl(url)) return [];
    const { seed, timings } = entry;
    const reported = { seed: asItCame(seed), timings: asItCame(timings) };
    return [{ url, seed: readText(seed), inferenceSeconds: readInference(timings), reported }];
  });
}

/** Absent when Postgres would refuse it, and the whole result with it, or when it is more than anybody has seen. */
function asItCame(value: unknown): unknown {
  try {
    const text = JSON.stringify(value) ?? '';
    return text.length > MAX_AS_IT_CAME || UNKEEPABLE.test(text) ? undefined : value;
  } catch {
    return undefined; // nested deeper than JSON.stringify goes
  }
}

/** Only `{inference}` is a duration. A bare number has been seen to be the time of day in Unix seconds. */
function readInference(timings: unknown): number | null {
  const seconds = isFields(timings) ? timings['inference'] : null;
  return typeof seconds === 'number' && seconds >= 0 ? seconds : null;
}

/**
 * A text that is not empty, or a number as text: ids and seeds come as either. Without NUL and halves of characters,
 * which Postgres refuses.
 */
function readText(value: unknown): string | null {
  if (typeof value === 'number') return String(value);
  return (typeof value === 'string' && value.replace(/\0|\p{Surrogate}/gu, '').trim()) || null;
}

function isHttpUrl(text: string): boolean {
  return ['http:', 'https:'].includes(parseUrl(text)?.protocol ?? '');
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
