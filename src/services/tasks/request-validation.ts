import { createHash } from 'node:crypto';
import { type Caller } from '../../core/access/caller.js';
import { InputRejected } from '../../core/errors.js';
import { type InputFault, type InputFaultCode } from '../../core/tasks/input-fault.js';
import { isId } from '../../core/primitives/ids.js';
import { DEFAULT_MODEL, findModel, FLUX_MODELS, type FluxModel } from '../../core/tasks/models.js';
import { sizeFault } from '../../core/tasks/sizes.js';
import { type TaskKind, type TaskPriority } from '../../core/tasks/task.js';
import { parseUrl } from '../../core/primitives/url.js';

/** What a caller asks for, as it came in. */
export interface Wish {
  prompt: string;
  model?: string | null;
  size?: string | null;
  count?: number | null;
  sourceImageId?: string | null;
  sourceImageUrl?: string | null;
  /** Where the result is posted to. */
  callbackUrl?: string | null;
  priority?: TaskPriority | null;
  metadata?: unknown;
  idempotencyKey?: string | null;
  timeoutSeconds?: number | null;
  /** For whom of its own users the workspace asks. */
  endUserId?: string | null;
}

/** A wish that the upstream can be asked to fulfil. */
export interface CheckedRequest {
  kind: TaskKind;
  prompt: string;
  model: string;
  size: string | null;
  requestedCount: number;
  sourceImageId: string | null;
  sourceImageUrl: string | null;
  /** Absent, not null, without one: requests from before there were any keep their hash. */
  callbackUrl?: string;
  priority: TaskPriority;
  metadata: unknown;
  idempotencyKey: string | null;
  timeoutSeconds: number;
}

/** Ours: the upstream documents no limit, and longer prompts are cut by the models. In characters, not in bytes. */
const MAX_PROMPT_LENGTH = 4_000;
/** Postgres keeps every character in a text but this one. */
const NUL = '\0';
export const MAX_METADATA_BYTES = 4_096;
const MAX_KEY_LENGTH = 255;
const MAX_URL_LENGTH = 2_048;
const MIN_TIMEOUT_SECONDS = 10;
const MAX_TIMEOUT_SECONDS = 3_600;
/** Five times the longest time that the upstream's guide gives for a picture. */
const DEFAULT_TIMEOUT_SECONDS = 600;

/** Checks a wish before anything is written or sent. Throws InputRejected with every fault at once. */
export function checkWish(kind: TaskKind, wish: Wish): CheckedRequest {
  const faults: InputFault[] = [];
  const fault = (code: InputFaultCode, field: string, message: string) =>
    faults.push({ code, message, field: ['input', field] });

  const promptLength = [...wish.prompt].length;
  if (wish.prompt.trim() === '') fault('INVALID_PROMPT', 'prompt', 'The prompt is empty. Say what to make.');
  if (promptLength > MAX_PROMPT_LENGTH) {
    const limit = `at most ${MAX_PROMPT_LENGTH} characters are taken`;
    fault('INVALID_PROMPT', 'prompt', `The prompt has ${promptLength} characters; ${limit}. Shorten it.`);
  }

  if (wish.prompt.includes(NUL)) {
    fault(
      'INVALID_PROMPT',
      'prompt',
      'The prompt holds a NUL character, which cannot be kept. Leave it out.',
    );
  }

  const model = checkModel(kind, wish.model ?? DEFAULT_MODEL[kind], fault);
  const sizeProblem = model && wish.size ? sizeFault(model, wish.size) : null;
  if (sizeProblem) fault('INVALID_SIZE', 'size', sizeProblem);
  if (wish.size === '') fault('INVALID_SIZE', 'size', 'The size is empty. Leave it out for the default.');

  const count = wish.count ?? 1;
  const maxCount = model?.maxCount ?? 4;
  if (!Number.isInteger(count) || count < 1 || count > maxCount) {
    fault('INVALID_COUNT', 'count', `The count is ${count}; ask for 1 to ${maxCount} pictures.`);
  }

  if (kind === 'EDIT') checkSource(wish, fault);
  if (wish.callbackUrl != null && !isHttpUrl(wish.callbackUrl)) {
    const message = `callbackUrl must be an http or https address of up to ${MAX_URL_LENGTH} characters.`;
    fault('INVALID_CALLBACK_URL', 'callbackUrl', message);
  }
  checkTimeout(wish.timeoutSeconds, fault);
  faults.push(...endUserFaults(wish.endUserId));
  checkMetadata(wish.metadata, fault);
  const key = wish.idempotencyKey ?? null;
  if (key !== null && (key === '' || key.length > MAX_KEY_LENGTH || key.includes(NUL))) {
    const tooLong = key.length > MAX_KEY_LENGTH ? `has ${key.length} characters` : 'holds a NUL character';
    const problem = key === '' ? 'is empty' : tooLong;
    const message = `The idempotency key ${problem}; use 1 to ${MAX_KEY_LENGTH} characters.`;
    fault('INVALID_IDEMPOTENCY_KEY', 'idempotencyKey', message);
  }

  if (faults.length > 0 || !model) throw new InputRejected(faults);
  return {
    kind,
    prompt: wish.prompt,
    model: model.name,
    size: wish.size ?? (kind === 'GENERATE' ? model.defaultSize : null),
    requestedCount: count,
    sourceImageId: wish.sourceImageId ?? null,
    sourceImageUrl: wish.sourceImageUrl ?? null,
    // In its normal form: `HTTP:Example.com:80` and `http://example.com/` are one receiver.
    ...(wish.callbackUrl != null && { callbackUrl: new URL(wish.callbackUrl).href }),
    priority: wish.priority ?? 'NORMAL',
    metadata: wish.metadata ?? null,
    idempotencyKey: key,
    timeoutSeconds: wish.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
  };
}

/** What is wrong with the name that a workspace has for one of its users. */
export function endUserFaults(endUserId: string | null | undefined): InputFault[] {
  if (endUserId == null) return [];
  if (endUserId !== '' && endUserId.length <= MAX_KEY_LENGTH && !endUserId.includes(NUL)) return [];
  const message = `endUserId must have 1 to ${MAX_KEY_LENGTH} characters and no NUL.`;
  return [{ code: 'INVALID_END_USER', message, field: ['input', 'endUserId'] }];
}

type Report = (code: InputFaultCode, field: string, message: string) => void;

function checkModel(kind: TaskKind, name: string, fault: Report): FluxModel | null {
  const able = FLUX_MODELS.filter((model) => (kind === 'EDIT' ? model.canEdit : model.canGenerate));
  const model = findModel(name);
  if (model && able.includes(model)) return model;
  const what = model
    ? `${name} cannot ${kind === 'EDIT' ? 'edit' : 'generate'}`
    : `There is no model named "${name}"`;
  fault('INVALID_MODEL', 'model', `${what}. Use one of: ${able.map((known) => known.name).join(', ')}.`);
  return null;
}

function checkSource(wish: Wish, fault: Report): void {
  const { sourceImageId: id, sourceImageUrl: url } = wish;
  if ((id == null) === (url == null)) {
    const message = 'Name the picture to edit by exactly one of sourceImageId and sourceImageUrl.';
    fault('INVALID_SOURCE_IMAGE', id == null ? 'sourceImageId' : 'sourceImageUrl', message);
  } else if (id != null && !isId(id)) {
    fault('NOT_FOUND', 'sourceImageId', 'There is no image with this id in your workspace.');
  } else if (url != null && !isHttpUrl(url)) {
    const message = `sourceImageUrl must be an http or https address of up to ${MAX_URL_LENGTH} characters.`;
    fault('INVALID_URL', 'sourceImageUrl', message);
  }
}

function checkTimeout(seconds: number | null | undefined, fault: Report): void {
  if (seconds == null) return;
  if (Number.isInteger(seconds) && seconds >= MIN_TIMEOUT_SECONDS && seconds <= MAX_TIMEOUT_SECONDS) return;
  const range = `${MIN_TIMEOUT_SECONDS} to ${MAX_TIMEOUT_SECONDS} seconds`;
  fault('INVALID_TIMEOUT', 'timeoutSeconds', `The time-out is ${seconds}; give ${range}.`);
}

function checkMetadata(metadata: unknown, fault: Report): void {
  if (metadata == null) return;
  const bytes = Buffer.byteLength(JSON.stringify(metadata));
  if (bytes <= MAX_METADATA_BYTES) return;
  const limit = `${MAX_METADATA_BYTES} bytes of JSON are kept`;
  fault(
    'INVALID_METADATA',
    'metadata',
    `The metadata has ${bytes} bytes; up to ${limit}. Keep a reference instead.`,
  );
}

function isHttpUrl(text: string): boolean {
  const url = text.length > MAX_URL_LENGTH || text.includes(NUL) ? null : parseUrl(text);
  if (!url) return false;
  const { protocol, username, password } = url;
  return (protocol === 'http:' || protocol === 'https:') && username === '' && password === '';
}

/** For whom a wish is: a caller who is bound to an end user wishes for no other. */
export function endUserOf({ endUserId }: Caller, wish: Wish): string | null {
  const wanted = wish.endUserId ?? endUserId;
  if (endUserId === null || wanted === endUserId) return wanted;
  const message = 'Your token is for another end user. Leave endUserId out.';
  throw new InputRejected([{ code: 'INVALID_END_USER', message, field: ['input', 'endUserId'] }]);
}

/** What came later than the first hashes is left out where it says nothing, so that a key that was used before then still fits. */
export function hashInput(
  { priority, ...request }: CheckedRequest,
  retryOfId: string | null,
  endUserId: string | null,
): Buffer {
  const later = { ...(priority !== 'NORMAL' && { priority }), ...(endUserId !== null && { endUserId }) };
  const input = [request, retryOfId, ...(Object.keys(later).length > 0 ? [later] : [])];
  return createHash('sha256').update(JSON.stringify(input)).digest();
}
