import { createHash } from 'node:crypto';
import { InputRejected } from '../../core/errors.js';
import { isBlank } from '../../core/primitives/encoding/blank-text.js';
import { isId } from '../../core/primitives/ids.js';
import { parseUrl } from '../../core/primitives/url.js';
import { DEFAULT_MODEL, findModel, FLUX_MODELS, type FluxModel } from '../../core/tasks/models.js';
import { modelSizeOf, nearestSize, sizeError } from '../../core/tasks/sizes.js';
import { type Task, type TaskKind, type TaskPriority } from '../../core/tasks/task.js';
import { type UserError, type UserErrorCode } from '../../core/primitives/user-error.js';
import { endUserErrors } from '../access/end-user.js';

/** A caller's request for images, before validation. */
export interface ImageRequest {
  prompt: string;
  model?: string | null;
  size?: string | null;
  count?: number | null;
  sourceImageId?: string | null;
  sourceImageUrl?: string | null;
  /** URL of the webhook endpoint that the result is posted to. */
  webhookUrl?: string | null;
  priority?: TaskPriority | null;
  metadata?: unknown;
  idempotencyKey?: string | null;
  timeoutSeconds?: number | null;
  /** The workspace's own ID of the end user that the request is for. */
  endUserId?: string | null;
}

/** A validated request, with defaults filled in. */
type ValidImageRequest = ReturnType<typeof validateImageRequest>;

/** In characters. This limit is ours: the upstream documents none, and models cut longer prompts. */
const MAX_PROMPT_LENGTH = 4_000;
/** The only character that PostgreSQL cannot store in a text. */
const NUL = '\0';
export const MAX_METADATA_BYTES = 4_096;
const MAX_IDEMPOTENCY_KEY_LENGTH = 255;
const MAX_URL_LENGTH = 2_048;
/** The longest host name that DNS can resolve, in bytes and without the final dot. */
const MAX_HOST_LENGTH = 253;
const MIN_TIMEOUT_SECONDS = 10;
const MAX_TIMEOUT_SECONDS = 3_600;
/** Five times the longest time that the upstream's guide gives for an image. */
const DEFAULT_TIMEOUT_SECONDS = 600;

/**
 * What to do with a size that the model does not take. `reject`: reject the request, and name the nearest size. `nearest`: use the
 * nearest size, and keep what was requested.
 */
export type SizePolicy = 'reject' | 'nearest';

type AddError = (code: UserErrorCode, field: string, message: string) => void;

/** Validates a request before anything is written or sent. Throws InputRejected with all problems that it shows. */
export function validateImageRequest(
  kind: TaskKind,
  request: ImageRequest,
  sizePolicy: SizePolicy = 'reject',
) {
  const errors: UserError[] = [];
  const addError: AddError = (code, field, message) =>
    errors.push({ code, message, field: ['input', field] });

  validatePrompt(request.prompt, addError);
  const model = validateModel(kind, request.model ?? DEFAULT_MODEL[kind], addError);
  const { size, requestedSize } = validateSize(model, { size: request.size, sizePolicy }, addError);

  const count = request.count ?? 1;
  const maxCount = model?.maxCount ?? 4;
  if (!Number.isInteger(count) || count < 1 || count > maxCount) {
    addError('INVALID_COUNT', 'count', `The count is ${count}. Use 1 to ${maxCount}.`);
  }

  if (kind === 'EDIT') validateSourceImage(request, addError);
  // Normalized, because `HTTP:Example.com:80` and `http://example.com/` are the same endpoint. That can make it longer.
  const webhookUrl = request.webhookUrl == null ? null : parseHttpUrl(request.webhookUrl);
  if (request.webhookUrl != null && !(webhookUrl && webhookUrl.href.length <= MAX_URL_LENGTH)) {
    addError('INVALID_WEBHOOK_URL', 'webhookUrl', httpUrlRule('The webhook URL'));
  }
  validateTimeout(request.timeoutSeconds, addError);
  errors.push(...endUserErrors(request.endUserId));
  validateMetadata(request.metadata, addError);
  validateIdempotencyKey(request.idempotencyKey, addError);

  if (errors.length > 0 || !model) throw new InputRejected(errors);
  return {
    kind,
    prompt: request.prompt,
    model: model.name,
    size: size ?? (kind === 'GENERATE' ? model.defaultSize : null),
    requestedSize,
    requestedCount: count,
    sourceImageId: request.sourceImageId?.toLowerCase() ?? null,
    sourceImageUrl: request.sourceImageUrl ?? null,
    webhookUrl: webhookUrl?.href ?? null,
    priority: request.priority ?? ('NORMAL' as const),
    metadata: request.metadata ?? null,
    idempotencyKey: request.idempotencyKey ?? null,
    timeoutSeconds: request.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
  };
}

/**
 * SHA-256 of a request. Two requests with one idempotency key must have the same hash, also when an older version of the service
 * has stored the first one. So absent fields are left out: a later version has more of them. The order of names is not part of
 * it, because the maps of some languages have another one in each process.
 */
export function hashRequest(
  request: ValidImageRequest,
  retryOfId: string | null,
  endUserId: string | null,
): Buffer {
  const fields = Object.entries({ ...request, retryOfId, endUserId });
  const given = sortedEntries(fields.filter(([, value]) => value !== null));
  return createHash('sha256').update(JSON.stringify(given, withSortedNames)).digest();
}

function sortedEntries(entries: [string, unknown][]): [string, unknown][] {
  return entries.sort(([one], [other]) => (one < other ? -1 : 1));
}

/** For JSON.stringify. A name that is an integer comes first in every object, and `__proto__` is an own field of parsed JSON. */
function withSortedNames(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(sortedEntries(Object.entries(value)));
}

function validatePrompt(prompt: string, addError: AddError): void {
  const length = [...prompt].length;
  if (isBlank(prompt)) addError('INVALID_PROMPT', 'prompt', 'The prompt is empty. Describe the image.');
  if (length > MAX_PROMPT_LENGTH) {
    const message = `The prompt has ${length} characters. Shorten it to at most ${MAX_PROMPT_LENGTH}.`;
    addError('INVALID_PROMPT', 'prompt', message);
  }
  if (prompt.includes(NUL)) {
    addError('INVALID_PROMPT', 'prompt', 'The prompt contains a NUL character. Remove it.');
  }
}

function validateModel(kind: TaskKind, name: string, addError: AddError): FluxModel | null {
  const capableModels = FLUX_MODELS.filter((model) => (kind === 'EDIT' ? model.canEdit : model.canGenerate));
  const model = findModel(name);
  if (model && capableModels.includes(model)) return model;
  const problem = model
    ? `The model "${name}" cannot ${kind === 'EDIT' ? 'edit' : 'generate'} images`
    : `Unknown model "${name}"`;
  const names = capableModels.map((capable) => capable.name).join(', ');
  addError('INVALID_MODEL', 'model', `${problem}. Use one of: ${names}.`);
  return null;
}

/** The size as it was given, or the nearest one by the policy. A size in the model's other spelling stays as it was given. */
function validateSize(
  model: FluxModel | null,
  { size, sizePolicy }: { size: string | null | undefined; sizePolicy: SizePolicy },
  addError: AddError,
): Pick<Task, 'size' | 'requestedSize'> {
  if (size == null) return { size: null, requestedSize: null };
  if (size === '') addError('INVALID_SIZE', 'size', 'The size is empty. Leave it out to use the default.');
  else if (model && modelSizeOf(model, size) === null) {
    const nearest = sizePolicy === 'nearest' ? nearestSize(model, size) : null;
    if (nearest !== null) return { size: nearest, requestedSize: size };
    addError('INVALID_SIZE', 'size', sizeError(model, size) ?? 'The size is invalid.');
  }
  return { size, requestedSize: null };
}

function validateSourceImage(request: ImageRequest, addError: AddError): void {
  const { sourceImageId: id, sourceImageUrl: url } = request;
  if ((id == null) === (url == null)) {
    const message = 'Set exactly one of sourceImageId and sourceImageUrl.';
    addError('INVALID_SOURCE_IMAGE', id == null ? 'sourceImageId' : 'sourceImageUrl', message);
  } else if (id != null && !isId(id)) {
    addError('NOT_FOUND', 'sourceImageId', 'No image with this ID in your workspace.');
  } else if (url != null && !parseHttpUrl(url)) {
    addError('INVALID_URL', 'sourceImageUrl', httpUrlRule('The source image URL'));
  }
}

function validateTimeout(seconds: number | null | undefined, addError: AddError): void {
  if (seconds == null) return;
  if (Number.isInteger(seconds) && seconds >= MIN_TIMEOUT_SECONDS && seconds <= MAX_TIMEOUT_SECONDS) return;
  const range = `${MIN_TIMEOUT_SECONDS} to ${MAX_TIMEOUT_SECONDS} seconds`;
  addError('INVALID_TIMEOUT', 'timeoutSeconds', `The timeout is ${seconds} seconds. Use ${range}.`);
}

function validateMetadata(metadata: unknown, addError: AddError): void {
  if (metadata == null) return;
  const bytes = Buffer.byteLength(JSON.stringify(metadata));
  if (bytes <= MAX_METADATA_BYTES) return;
  const message = `The metadata has ${bytes} bytes of JSON. The limit is ${MAX_METADATA_BYTES}. Store a reference instead.`;
  addError('INVALID_METADATA', 'metadata', message);
}

function validateIdempotencyKey(key: string | null | undefined, addError: AddError): void {
  if (key == null) return;
  const problem =
    (key === '' && 'is empty') ||
    (key.length > MAX_IDEMPOTENCY_KEY_LENGTH && `has ${key.length} characters`) ||
    (key.includes(NUL) && 'contains a NUL character');
  if (!problem) return;
  const message = `The idempotency key ${problem}. Use 1 to ${MAX_IDEMPOTENCY_KEY_LENGTH} characters without NUL.`;
  addError('INVALID_IDEMPOTENCY_KEY', 'idempotencyKey', message);
}

function httpUrlRule(subject: string): string {
  return `${subject} must be an http or https URL of up to ${MAX_URL_LENGTH} characters with percent-encoding and Punycode, whose host has at most ${MAX_HOST_LENGTH}, without a username or password.`;
}

/** Null if the URL is not one that Darkroom accepts. */
function parseHttpUrl(text: string): URL | null {
  const url = text.length > MAX_URL_LENGTH || text.includes(NUL) ? null : parseUrl(text);
  if (!url) return null;
  const { protocol, hostname, username, password } = url;
  const isHttp = protocol === 'http:' || protocol === 'https:';
  // As DNS spells it: Punycode makes names in most scripts several times as long.
  const hasValidHost = hostname.replace(/\.$/, '').length <= MAX_HOST_LENGTH;
  return isHttp && hasValidHost && username === '' && password === '' ? url : null;
}
