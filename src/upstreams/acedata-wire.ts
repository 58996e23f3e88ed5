import { z } from 'zod';
import { parseUrl } from '../core/primitives/url.js';

/**
 * Schemas of the upstream's JSON, which do not trust its shape: a field of an unexpected type counts as absent and becomes null.
 */

/** Real seeds and timings have tens of characters. */
const MAX_REPORTED_LENGTH = 1_024;
/** NUL and lone surrogates, as JSON escapes them. PostgreSQL rejects both. */
const UNSTORABLE_CHARACTERS = /\\u(?:0000|d[89a-f])/;

/** Accepts an absent field first, because building an error costs more than everything else. */
const orNull = <Schema extends z.ZodType>(schema: Schema) =>
  schema
    .nullish()
    .catch(null)
    .transform((value) => value ?? null);
/** IDs and seeds arrive as text or as a number. NUL and lone surrogates are removed, because PostgreSQL rejects them. */
const requiredText = z
  .union([z.string(), z.number()])
  .transform((value) =>
    String(value)
      .replace(/\0|\p{Surrogate}/gu, '')
      .trim(),
  )
  .refine((value) => value !== '');
const text = orNull(requiredText);
/** Only `{inference}` is a duration. A plain number turned out to be the current time in Unix seconds. */
const timingsSchema = orNull(z.object({ inference: z.number().nonnegative() }));

const imageSchema = z
  .object({
    image_url: requiredText.refine((url) => /^https?:$/.test(parseUrl(url)?.protocol ?? '')),
    seed: z.unknown().optional(),
    timings: z.unknown().optional(),
  })
  .transform(({ image_url, seed, timings }) => ({
    /** An http or https URL. The upstream does not promise how long it remains valid. */
    upstreamUrl: image_url,
    seed: text.parse(seed),
    inferenceSeconds: timingsSchema.parse(timings)?.inference ?? null,
    /** `seed` and `timings` exactly as received. */
    upstreamMetadata: { seed: keepIfStorable(seed), timings: keepIfStorable(timings) },
  }));

const errorSchema = z.union([
  z.object({ code: text, message: text }),
  requiredText.transform((message) => ({ code: null, message })),
]);

const replySchema = z.object({
  task_id: text,
  trace_id: text,
  success: orNull(z.boolean()),
  /** Null when there is none. Entries without an http(s) URL are omitted. */
  data: orNull(listOf(imageSchema)),
  /** Its code is null when the error is a bare string or an object without a code. */
  error: orNull(errorSchema),
});

/** A task is the reply in its `response`, with fields beside it. */
const taskSchema = z
  .object({
    id: text,
    trace_id: text,
    finished_at: text,
    response: replySchema.catch(() => replySchema.parse({})),
  })
  .transform(({ id, trace_id, finished_at, response }) => ({
    ...response,
    id,
    task_id: id ?? response.task_id,
    trace_id: response.trace_id ?? trace_id,
    isFinished: finished_at !== null,
  }));

const tasksSchema = z.union([
  z.object({ items: listOf(taskSchema) }).transform(({ items }) => items),
  z.strictObject({}).transform(() => []),
  taskSchema.refine((task) => task.id !== null).transform((task) => [task]),
]);

export type UpstreamImage = z.output<typeof imageSchema>;
/** The common shape of replies, callbacks and the `response` of a task that was read. */
export type WireReply = z.output<typeof replySchema>;
export type WireTask = z.output<typeof taskSchema>;

/** Null when the value is not a JSON object. */
export function parseReply(value: unknown): WireReply | null {
  return replySchema.safeParse(value).data ?? null;
}

/**
 * The tasks in a response to `retrieve_batch`. Also accepts a single task and `{}`, the response to `retrieve` for an unknown
 * ID. Null for anything else, which must not be mistaken for "no such task".
 */
export function parseTasks(value: unknown): WireTask[] | null {
  return tasksSchema.safeParse(value).data ?? null;
}

/** A list without the entries that have another shape. */
function listOf<Entry>(schema: z.ZodType<Entry>) {
  return z.array(orNull(schema)).transform((entries) => entries.filter((entry) => entry !== null));
}

/** Undefined for a value that PostgreSQL would reject together with the whole result, or that is unreasonably long. */
function keepIfStorable(value: unknown): unknown {
  try {
    const json = JSON.stringify(value) ?? '';
    return json.length > MAX_REPORTED_LENGTH || UNSTORABLE_CHARACTERS.test(json) ? undefined : value;
  } catch {
    return undefined; // nested too deeply for JSON.stringify
  }
}
