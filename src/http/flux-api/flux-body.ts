import { type z } from 'zod';
import { BadRequest, UnknownAction } from '../../core/errors.js';
import { type FluxOrder } from '../../services/flux-api/flux-api.js';
import { MAX_METADATA_BYTES } from '../../services/tasks/request-validation.js';
import { IMAGES_ACTIONS, IMAGES_FIELDS, imagesBody, TASKS_ACTIONS, tasksBody } from './flux-schemas.js';

/** Reads the body of `POST /flux/images`. Throws UnknownAction, or BadRequest for a field of another type. */
export function readOrder(body: unknown, idempotencyKey: string | undefined): FluxOrder {
  const fields = requireFields(body, IMAGES_ACTIONS);
  const sent = parse(imagesBody, fields);
  const { prompt, model, size, callback_url: callbackUrl } = sent;
  const common = { prompt, model, size, callbackUrl, idempotencyKey, metadata: unknownFields(fields) };
  const waits = callbackUrl == null && sent.async !== true;
  return sent.action === 'generate'
    ? { kind: 'GENERATE', wish: { ...common, count: sent.count }, waits }
    : { kind: 'EDIT', wish: { ...common, sourceImageUrl: sent.image_url }, waits };
}

/** Reads the body of `POST /flux/tasks`. Throws UnknownAction or BadRequest. */
export function readWanted(body: unknown): z.output<typeof tasksBody> {
  return parse(tasksBody, requireFields(body, TASKS_ACTIONS));
}

type Fields = Readonly<Record<string, unknown>>;

function requireFields(body: unknown, actions: readonly string[]): Fields {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new BadRequest('The body is not a JSON object. Send one as "content-type: application/json".');
  }
  const fields = body as Fields;
  if (!actions.some((action) => action === fields.action)) throw new UnknownAction(actions);
  return fields;
}

function parse<Schema extends z.ZodType>(schema: Schema, fields: Fields): z.output<Schema> {
  const parsed = schema.safeParse(fields);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `\`${path.join('.')}\` ${message}.`);
  throw new BadRequest(faults.join(' '));
}

/** What the Flux API does not know is a client's own, and no reason to refuse. More than metadata may be is not kept. */
function unknownFields(fields: Fields): Fields | null {
  const unknown = Object.entries(fields).filter(([name]) => !IMAGES_FIELDS.includes(name));
  if (unknown.length === 0) return null;
  // Makes a field even of `__proto__`, which an assignment would not.
  const kept = Object.fromEntries(unknown);
  try {
    return Buffer.byteLength(JSON.stringify(kept)) <= MAX_METADATA_BYTES ? kept : null;
  } catch {
    return null; // nested deeper than JSON.stringify goes
  }
}
