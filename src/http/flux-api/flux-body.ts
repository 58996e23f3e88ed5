import { type z } from 'zod';
import { BadRequest, UnknownAction } from '../../core/errors.js';
import { type FluxImageRequest } from '../../services/flux-api/flux-api.js';
import { MAX_METADATA_BYTES } from '../../services/tasks/request-validation.js';
import { IMAGES_ACTIONS, IMAGES_FIELDS, imagesBody, TASKS_ACTIONS, tasksBody } from './flux-schemas.js';

/** Parses the body of `POST /flux/images`. Throws UnknownAction, or BadRequest for a field of the wrong type. */
export function parseImagesRequest(body: unknown, idempotencyKey: string | undefined): FluxImageRequest {
  const fields = requireActionFields(body, IMAGES_ACTIONS);
  const parsed = parse(imagesBody, fields);
  const { prompt, model, size, callback_url: webhookUrl } = parsed;
  const common = {
    prompt,
    model,
    size,
    webhookUrl,
    idempotencyKey,
    metadata: metadataFromUnknownFields(fields),
  };
  const waitForResult = webhookUrl == null && parsed.async !== true;
  return parsed.action === 'generate'
    ? { kind: 'GENERATE', request: { ...common, count: parsed.count }, waitForResult }
    : { kind: 'EDIT', request: { ...common, sourceImageUrl: parsed.image_url }, waitForResult };
}

/** Parses the body of `POST /flux/tasks`. Throws UnknownAction, or BadRequest for a field of the wrong type. */
export function parseTasksRequest(body: unknown): z.output<typeof tasksBody> {
  return parse(tasksBody, requireActionFields(body, TASKS_ACTIONS));
}

type JsonFields = Readonly<Record<string, unknown>>;

function requireActionFields(body: unknown, actions: readonly string[]): JsonFields {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new BadRequest('The body is not a JSON object. Send one with "content-type: application/json".');
  }
  const fields = body as JsonFields;
  if (!actions.some((action) => action === fields.action)) throw new UnknownAction(fields.action, actions);
  return fields;
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
