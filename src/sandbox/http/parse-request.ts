import { createHash } from 'node:crypto';
import { z } from 'zod';
import { findModel, type FluxModel } from '../../core/tasks/models.js';
import { sizeFault } from '../../core/tasks/sizes.js';
import { readDirectives, type Directives } from '../directives.js';
import { ApiRefusal } from './api-refusal.js';

/** A submission that was understood: every field is valid for its model. */
export interface ImageRequest {
  action: 'generate' | 'edit';
  /** As it was sent, directives included. */
  prompt: string;
  /** The prompt without directives: what is painted. */
  caption: string;
  directives: Directives;
  model: FluxModel;
  /** As it was sent; null when it was not. */
  size: string | null;
  /** How many pictures are asked for. Always 1 for an edit, where the API ignores the field. */
  count: number;
  imageUrl: string | null;
  callbackUrl: string | null;
  isAsync: boolean;
  /** The fields that the API knows, as they were sent: what a task shows under `request`. */
  echo: Record<string, unknown>;
  /** SHA-256 of what decides the result, so that equal requests have equal results. */
  hash: Buffer;
}

const httpUrl = z.url({ protocol: /^https?$/, error: 'must be an http or https URL' });
const fields = z.object({
  action: z.string(),
  prompt: z.string({ error: 'must be a text' }).refine((text) => text.trim() !== '', 'must not be empty'),
  model: z.string().nullish(),
  size: z.string().nullish(),
  count: z.int('must be a whole number').min(1, 'must be at least 1').nullish(),
  image_url: httpUrl.nullish(),
  callback_url: httpUrl.nullish(),
  async: z.boolean().nullish(),
});
type Fields = z.infer<typeof fields>;

/** `edits` is the guide's word, `edit` the newer specification's; the API takes both. */
const ACTIONS: Readonly<Record<string, ImageRequest['action']>> = {
  generate: 'generate',
  edit: 'edit',
  edits: 'edit',
};

/** The API's own default, for edits too: an edit without a model is therefore refused. */
const API_DEFAULT_MODEL = 'flux-dev';

/**
 * Reads the body of `POST /flux/images`.
 * @throws ApiRefusal `api_not_implemented` for a missing or unknown action, `bad_request` for everything else.
 */
export function parseImageRequest(body: unknown): ImageRequest {
  const action = readAction(body, ACTIONS);
  const sent = parseFields(fields, body);
  const { caption, directives } = readDirectives(sent.prompt);
  const model = readModel(action, sent);
  const size = sent.size ?? null;
  const sizeProblem = size === null ? null : sizeFault(model, size);
  if (sizeProblem) throw new ApiRefusal('bad_request', `size: ${sizeProblem}`);
  if (action === 'generate' && (sent.count ?? 1) > model.maxCount) {
    throw new ApiRefusal('bad_request', `count: must be at most ${model.maxCount}`);
  }
  const count = action === 'edit' ? 1 : (sent.count ?? 1);
  const imageUrl = action === 'edit' ? readImageUrl(sent) : null;
  return {
    ...{ action, prompt: sent.prompt, caption, directives, model, size, count, imageUrl },
    callbackUrl: sent.callback_url ?? null,
    isAsync: sent.async ?? false,
    echo: sent,
    hash: createHash('sha256')
      .update(JSON.stringify([action, caption, model.name, size, count, imageUrl]))
      .digest(),
  };
}

/**
 * The entry of `actions` that the body names.
 * @throws ApiRefusal `bad_request` when the body is no object, `api_not_implemented` when it names no such action.
 */
export function readAction<Action>(body: unknown, actions: Readonly<Record<string, Action>>): Action {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new ApiRefusal('bad_request', 'The body must be a JSON object.');
  }
  const named: unknown = 'action' in body ? body.action : undefined;
  const action = typeof named === 'string' && Object.hasOwn(actions, named) ? actions[named] : undefined;
  if (action === undefined) {
    throw new ApiRefusal('api_not_implemented', `action: must be one of ${Object.keys(actions).join(', ')}.`);
  }
  return action;
}

/** The body as `schema` sees it. @throws ApiRefusal `bad_request` naming the first field that is wrong. */
export function parseFields<Value>(schema: z.ZodType<Value>, body: unknown): Value {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ApiRefusal('bad_request', `${issue?.path.join('.')}: ${issue?.message}`);
}

function readModel(action: ImageRequest['action'], sent: Fields): FluxModel {
  const name = sent.model ?? API_DEFAULT_MODEL;
  const model = findModel(name);
  if (!model) throw new ApiRefusal('bad_request', `model: there is no model "${name}"`);
  if (!(action === 'edit' ? model.canEdit : model.canGenerate)) {
    throw new ApiRefusal('bad_request', `model: ${name} cannot ${action} pictures`);
  }
  return model;
}

function readImageUrl(sent: Fields): string {
  if (!sent.image_url) throw new ApiRefusal('bad_request', 'image_url: is required for an edit');
  return sent.image_url;
}
