import { type UpstreamImage } from './acedata-types.js';
import { parseUrl } from '../core/primitives/url.js';

/**
 * Parses the upstream's JSON without trusting its shape. A field of an unexpected type counts as absent, and nothing here
 * throws. Hand-written, because a schema that accepts every shape seen so far would be longer than these functions.
 */

export interface WireError {
  /** Null when the error is a bare string or an object without a code. */
  code: string | null;
  message: string | null;
}

/** The common shape of replies, callbacks and the `response` of a task that was read. */
export interface WireReply {
  taskId: string | null;
  traceId: string | null;
  /** Null when the field is missing. */
  success: boolean | null;
  /** Null when there is no `data`. Entries without an http(s) URL are omitted. */
  images: UpstreamImage[] | null;
  error: WireError | null;
}

export interface WireTask {
  id: string | null;
  traceId: string | null;
  isFinished: boolean;
  response: WireReply;
}

type JsonObject = Record<string, unknown>;

/** Real seeds and timings have tens of characters. */
const MAX_REPORTED_LENGTH = 1_024;
/** NUL and lone surrogates, as JSON escapes them. PostgreSQL rejects both. */
const UNSTORABLE_CHARACTERS = /\\u(?:0000|d[89a-f])/;

/** The value, or undefined when the text is not valid JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Null when the value is not a JSON object. */
export function parseReply(value: unknown): WireReply | null {
  if (!isJsonObject(value)) return null;
  return {
    taskId: parseText(value['task_id']),
    traceId: parseText(value['trace_id']),
    success: typeof value['success'] === 'boolean' ? value['success'] : null,
    images: Array.isArray(value['data']) ? parseImages(value['data']) : null,
    error: parseError(value['error']),
  };
}

/**
 * The tasks in a response to `retrieve_batch`. Also accepts a single task and `{}`, the response to `retrieve` for an unknown
 * ID. Null for anything else, which must not be mistaken for "no such task".
 */
export function parseTasks(value: unknown): WireTask[] | null {
  if (!isJsonObject(value)) return null;
  if (Array.isArray(value['items'])) return value['items'].filter(isJsonObject).map(parseTask);
  if (Object.keys(value).length === 0) return [];
  return parseText(value['id']) === null ? null : [parseTask(value)];
}

function parseTask(task: JsonObject): WireTask {
  const response = parseReply(isJsonObject(task['response']) ? task['response'] : {});
  return {
    id: parseText(task['id']) ?? response?.taskId ?? null,
    traceId: response?.traceId ?? parseText(task['trace_id']),
    isFinished: parseText(task['finished_at']) !== null,
    response: response ?? EMPTY_REPLY,
  };
}

const EMPTY_REPLY: WireReply = { taskId: null, traceId: null, success: null, images: null, error: null };

function parseError(error: unknown): WireError | null {
  if (isJsonObject(error)) return { code: parseText(error['code']), message: parseText(error['message']) };
  const message = parseText(error);
  return message === null ? null : { code: null, message };
}

function parseImages(data: unknown[]): UpstreamImage[] {
  return data.filter(isJsonObject).flatMap((entry) => {
    const url = parseText(entry['image_url']);
    if (url === null || !isHttpUrl(url)) return [];
    const { seed, timings } = entry;
    const upstreamMetadata = { seed: keepIfStorable(seed), timings: keepIfStorable(timings) };
    return [
      {
        upstreamUrl: url,
        seed: parseText(seed),
        inferenceSeconds: parseInferenceSeconds(timings),
        upstreamMetadata,
      },
    ];
  });
}

/** Undefined for a value that PostgreSQL would reject together with the whole result, or that is unreasonably long. */
function keepIfStorable(value: unknown): unknown {
  try {
    const text = JSON.stringify(value) ?? '';
    return text.length > MAX_REPORTED_LENGTH || UNSTORABLE_CHARACTERS.test(text) ? undefined : value;
  } catch {
    return undefined; // nested too deeply for JSON.stringify
  }
}

/** Only `{inference}` is a duration. A plain number turned out to be the current time in Unix seconds. */
function parseInferenceSeconds(timings: unknown): number | null {
  const seconds = isJsonObject(timings) ? timings['inference'] : null;
  return typeof seconds === 'number' && seconds >= 0 ? seconds : null;
}

/**
 * A non-empty text, or a number as text, because IDs and seeds arrive as either. NUL and lone surrogates are removed, because
 * PostgreSQL rejects them.
 */
function parseText(value: unknown): string | null {
  if (typeof value === 'number') return String(value);
  return (typeof value === 'string' && value.replace(/\0|\p{Surrogate}/gu, '').trim()) || null;
}

function isHttpUrl(text: string): boolean {
  return ['http:', 'https:'].includes(parseUrl(text)?.protocol ?? '');
}

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
