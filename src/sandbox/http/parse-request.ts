import { createHash } from 'node:crypto';
import { z } from 'zod';
import { isBlank } from '../../core/primitives/encoding/blank-text.js';
import { imagesActionOf, type JsonFields, normalizeFluxFields } from '../../core/flux-api/flux-fields.js';
import { findModel, type FluxModel } from '../../core/tasks/models.js';
import { parseAspectRatio, parsePixels, sizeError } from '../../core/tasks/sizes.js';
import { parseDirectives } from '../directives.js';
import { ApiRefusal } from './api-refusal.js';

const httpUrl = z.url({ protocol: /^https?$/, error: 'must be an http or https URL' });
const submitSchema = z.object({
  action: z.string(),
  prompt: z.string({ error: 'must be a string' }).refine((text) => !isBlank(text), 'must not be empty'),
  model: z.string().nullish(),
  size: z.string().nullish(),
  count: z.int('must be a whole number').min(1, 'must be at least 1').nullish(),
  image_url: httpUrl.nullish(),
  callback_url: httpUrl.nullish(),
  async: z.boolean().nullish(),
});

/** The API's guide says `edits` and its newer specification says `edit`. The API accepts both. */
const ACTIONS: Readonly<Record<string, 'generate' | 'edit'>> = {
  generate: 'generate',
  edit: 'edit',
  edits: 'edit',
};

/** The API's default also applies to edits. This model cannot edit, so an edit without a model is refused. */
const API_DEFAULT_MODEL = 'flux-dev';

/** A valid submission. Every field is valid for its model. */
export type SandboxImageRequest = ReturnType<typeof parseSandboxRequest>;

/**
 * Parses the body of `POST /flux/images`.
 * @throws ApiRefusal `api_not_implemented` for a missing or unknown action, `bad_request` for any other error.
 */
export function parseSandboxRequest(body: unknown) {
  const sent = requireFields(body);
  const action = parseAction(imagesActionOf(sent), ACTIONS);
  const fields = parseFields(submitSchema, { action, ...sent });
  const { caption, directives } = parseDirectives(fields.prompt);
  const model = parseModel(action, fields.model ?? API_DEFAULT_MODEL);
  const size = fields.size ?? null;
  const sizeProblem = size === null || isOtherSpelling(model, size) ? null : sizeError(model, size);
  if (sizeProblem) throw new ApiRefusal('bad_request', `size: ${sizeProblem}`);
  const isEdit = action === 'edit';
  // The API ignores the field of an edit.
  const count = isEdit ? 1 : (fields.count ?? 1);
  if (count > model.maxCount) {
    throw new ApiRefusal('bad_request', `count: must be at most ${model.maxCount}`);
  }
  if (isEdit && !fields.image_url) throw new ApiRefusal('bad_request', 'image_url: is required for an edit');
  const imageUrl = isEdit ? (fields.image_url ?? null) : null;
  return {
    action,
    /** As sent, including directives. */
    prompt: fields.prompt,
    /** The prompt without directives, which is painted into the image. */
    caption,
    directives,
    model,
    /** As sent, or null if absent. */
    size,
    count,
    imageUrl,
    callbackUrl: fields.callback_url ?? null,
    isAsync: fields.async ?? false,
    /** The known fields as sent, which a task shows as `request`. */
    rawFields: fields,
    /** SHA-256 of the fields that determine the result, so that equal requests have equal results. */
    hash: createHash('sha256')
      .update(JSON.stringify([action, caption, model.name, size, count, imageUrl]))
      .digest(),
  };
}

/** The fields of the body, without those that its client means to be absent. @throws ApiRefusal `bad_request` */
export function requireFields(body: unknown): JsonFields {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new ApiRefusal('bad_request', 'The body must be a JSON object.');
  }
  return normalizeFluxFields(body as JsonFields);
}

/** The entry of `actions` with this name. @throws ApiRefusal `api_not_implemented` for a missing or unknown name. */
export function parseAction<Action>(name: unknown, actions: Readonly<Record<string, Action>>): Action {
  const action = typeof name === 'string' && Object.hasOwn(actions, name) ? actions[name] : undefined;
  if (action === undefined) {
    throw new ApiRefusal('api_not_implemented', `action: must be one of ${Object.keys(actions).join(', ')}.`);
  }
  return action;
}

/** Validates the body against `schema`. @throws ApiRefusal `bad_request` with the first invalid field. */
export function parseFields<Value>(schema: z.ZodType<Value>, body: unknown): Value {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ApiRefusal('bad_request', `${issue?.path.join('.')}: ${issue?.message}`);
}

/** The API takes a ratio for a model with pixel sizes, and pixels for one with ratios, and uses the nearest size. */
function isOtherSpelling(model: FluxModel, size: string): boolean {
  return (model.pixelSizes ? parseAspectRatio(size) : parsePixels(size)) !== null;
}

function parseModel(action: 'generate' | 'edit', name: string): FluxModel {
  const model = findModel(name);
  if (!model) throw new ApiRefusal('bad_request', `model: unknown model "${name}"`);
  if (!(action === 'edit' ? model.canEdit : model.canGenerate)) {
    throw new ApiRefusal('bad_request', `model: ${name} cannot ${action} images`);
  }
  return model;
}
