import { type z } from 'zod';
import { BadRequest, UnknownAction } from '../../core/errors.js';
import {
  imagesActionOf,
  type JsonFields,
  normalizeFluxFields,
  tasksActionOf,
} from '../../core/flux-api/flux-fields.js';
import { type FluxImageRequest } from '../../services/flux-api/flux-api.js';
import { type TaskListing } from '../../services/tasks/task-reads.js';
import { MAX_METADATA_BYTES } from '../../services/tasks/request-validation.js';
import {
  IMAGES_ACTIONS,
  IMAGES_FIELDS,
  imagesBody,
  MAX_BATCH_SIZE,
  TASKS_ACTIONS,
  tasksBody,
} from './flux-schemas.js';

type TasksQuery = z.output<typeof tasksBody>;

/** Parses the body of `POST /flux/images`. Throws UnknownAction, or BadRequest for a field of the wrong type. */
export function parseImagesRequest(body: unknown, idempotencyKey: string | undefined): FluxImageRequest {
  const sent = requireFields(body);
  const fields = normalizeFluxFields(sent);
  const action = requireAction(imagesActionOf(fields), IMAGES_ACTIONS);
  const parsed = parse(imagesBody, { ...fields, action });
  const { prompt, model, size, callback_url: webhookUrl } = parsed;
  const common = {
    prompt,
    model,
    size,
    webhookUrl,
    idempotencyKey,
    metadata: metadataFromUnknownFields(sent),
  };
  const waitForResult = webhookUrl == null && parsed.async !== true;
  return parsed.action === 'generate'
    ? { kind: 'GENERATE', request: { ...common, count: parsed.count }, waitForResult }
    : { kind: 'EDIT', request: { ...common, sourceImageUrl: parsed.image_url }, waitForResult };
}

/** Parses the body of `POST /flux/tasks`. Throws UnknownAction, or BadRequest for a field of the wrong type. */
export function parseTasksRequest(body: unknown): TasksQuery {
  const fields = normalizeFluxFields(requireFields(body));
  const action = requireAction(tasksActionOf(fields), TASKS_ACTIONS);
  return parse(tasksBody, { ...fields, action });
}

/**
 * Translates a `retrieve_batch` without IDs. Both times are inclusive, and `created_at` in a reply has milliseconds. Null for a
 * type of tasks that Darkroom does not have.
 */
export function toTaskListing(query: Extract<TasksQuery, { action: 'retrieve_batch' }>): TaskListing | null {
  const { created_at_min: min, created_at_max: max, offset = 0, limit = MAX_BATCH_SIZE, type } = query;
  if (type !== undefined && type !== 'images') return null;
  const toDate = (seconds: number | undefined) =>
    seconds === undefined ? null : new Date(Math.round(seconds * 1000));
  return {
    createdFrom: toDate(min),
    createdTo: toDate(max),
    offset,
    limit: Math.min(limit, MAX_BATCH_SIZE),
  };
}

function requireFields(body: unknown): JsonFields {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new BadRequest('The body is not a JSON object. Send one with "content-type: application/json".');
  }
  return body as JsonFields;
}

function requireAction(action: unknown, actions: readonly string[]): string {
  const known = actions.find((name) => name === action);
  if (known === undefined) throw new UnknownAction(action, actions);
  return known;
}

function parse<Schema extends z.ZodType>(schema: Schema, fields: JsonFields): z.output<Schema> {
  const parsed = schema.safeParse(fields);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `\`${path.join('.')}\` ${message}.`);
  throw new BadRequest(problems.join(' '));
}

/**
 * Collects the fields that the Flux API does not define, because hosted clients may send fields of their own. They
 * are dropped when they exceed the limit of metadata.
 */
function metadataFromUnknownFields(fields: JsonFields): JsonFields | null {
  const unknown = Object.entries(fields).filter(([name]) => !IMAGES_FIELDS.includes(name));
  if (unknown.length === 0) return null;
  // Object.fromEntries also makes an own field of `__proto__`. An assignment would set the prototype.
  const metadata = Object.fromEntries(unknown);
  try {
    return Buffer.byteLength(JSON.stringify(metadata)) <= MAX_METADATA_BYTES ? metadata : null;
  } catch {
    return null; // nested too deeply for JSON.stringify
  }
}
