import { randomBytes, randomUUID } from 'node:crypto';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Own } from './workspace-fixtures.js';

/** What the name of a thing looks like to an argument, made of an id or a word. */
export type Form =
  /** An id. */
  | 'id'
  /** A cursor of a list that is walked by ids: a place between ids, whether or not there is the thing. */
  | 'place'
  /** A cursor of the log, at one of the events. */
  | 'log place'
  /** A cursor of budgets or of usage: a place between names. */
  | 'budget place'
  | 'usage place'
  /** A text that somebody chose. */
  | 'word'
  /** A link of ours to a picture. */
  | 'image link'
  /** Somebody's address. */
  | 'address'
  /** JSON that holds a word. */
  | 'json';

/** How an argument is fed. */
export type Feed =
  | {
      form: Form;
      /** Which of one's own is given while another argument is asked about; absent: none. */
      own?: keyof Own;
      /** Where the right things stand: all of them are asked for, and of every other column one. */
      of?: string[];
      /** Fields beside it that are left out with it. */
      instead?: string[];
    }
  /** It names nothing of anybody's: this is given always. Undefined: left out. */
  | { plain: unknown };

const names = (form: Form, more: { own?: keyof Own; of?: string[]; instead?: string[] } = {}): Feed => ({
  form,
  ...more,
});
const plain = (value?: unknown): Feed => ({ plain: value });
const id = (own: keyof Own, ...of: string[]) => names('id', { own, of });
const HOUR_MS = 3_600_000;

/** Every argument and input field that takes a scalar. One that is new needs a row: say what it can name. */
export const FEEDS: Readonly<Record<string, Feed>> = {
  'Query.apiKeys(after:)': names('place', { of: ['api_keys.id'] }),
  'Query.apiKeys(first:)': plain(10),
  'Query.auditLog(after:)': names('place', { of: ['audit_log.id'] }),
  'Query.auditLog(first:)': plain(20),
  'AuditFilter.keyId': id('apiKey', 'api_keys.id'),
  'AuditFilter.since': plain(new Date(Date.now() - HOUR_MS)),
  'AuditFilter.until': plain(new Date(Date.now() + HOUR_MS)),
  'Query.budgets(after:)': names('budget place', { of: ['budgets.subject'] }),
  'Query.budgets(first:)': plain(10),
  'Query.budgets(month:)': plain(),
  'Query.callbacks(after:)': names('place', { of: ['callbacks.id'] }),
  'Query.callbacks(first:)': plain(2),
  'CallbackFilter.taskId': id('task', 'tasks.id'),
  'Query.image(id:)': id('image', 'images.id', 'uploads.id'),
  'Query.taskEvents(after:)': names('log place'),
  'Query.taskEvents(first:)': plain(2),
  'TaskEventFilter.taskIds': id('running', 'tasks.id'),
  'Query.task(id:)': id('task', 'tasks.id'),
  'Query.tasks(after:)': names('place', { of: ['tasks.id'] }),
  'Query.tasks(first:)': plain(2),
  'TaskFilter.models': names('word'),
  'TaskFilter.createdAfter': plain(new Date(Date.now() - HOUR_MS)),
  'TaskFilter.createdBefore': plain(new Date(Date.now() + HOUR_MS)),
  'TaskFilter.search': names('word', { of: ['tasks.prompt'] }),
  'Query.usage(after:)': names('usage place', { of: ['tasks.key_id', 'tasks.end_user_id'] }),
  'Query.usage(first:)': plain(20),
  'Query.usage(from:)': plain(new Date(Date.now() - HOUR_MS)),
  'Query.usage(to:)': plain(new Date(Date.now() + HOUR_MS)),
  'Task.deliveries(after:)': names('place', { of: ['deliveries.id'] }),
  'Task.deliveries(first:)': plain(1),
  'Task.events(after:)': names('log place'),
  'Task.events(first:)': plain(1),
  'Image.url(width:)': plain(64),
  'Image.edits(after:)': names('place', { of: ['images.id'] }),
  'Image.edits(first:)': plain(1),
  'Subscription.taskUpdated(id:)': id('running', 'tasks.id'),
  'Subscription.taskUpdated(after:)': names('log place'),
  'Subscription.taskEvents(after:)': names('log place'),
  'CreateApiKeyInput.name': names('word', { own: 'endUser', of: ['api_keys.name'] }),
  'CreateApiKeyInput.scopes': plain(['tasks:read']),
  'CreateApiKeyInput.expiresAt': plain(),
  'LimitsInput.requestsPerMinute': plain(100),
  'LimitsInput.generationsPerMinute': plain(100),
  'LimitsInput.generationsInFlight': plain(100),
  'LimitsInput.connections': plain(100),
  'RevokeApiKeyInput.id': id('apiKey', 'api_keys.id'),
  'RotateApiKeyInput.id': id('spareKey', 'api_keys.id'),
  'RotateApiKeyInput.graceSeconds': plain(60),
  'CreateWorkspaceInput.name': names('word', { own: 'endUser', of: ['workspaces.name'] }),
  'CreateWorkspaceInput.scopes': plain(['tasks:read']),
  'SetBudgetInput.id': id('apiKey', 'api_keys.id', 'workspaces.id', 'budgets.subject'),
  'SetBudgetInput.amount': plain('1000'),
  'SetBudgetInput.currency': plain('USD'),
  'ReplayCallbackInput.id': id('callback', 'callbacks.id'),
  'CreateClientTokenInput.scopes': plain(['tasks:read']),
  'CreateClientTokenInput.endUserId': names('word', { of: ['tasks.end_user_id'] }),
  'CreateClientTokenInput.taskIds': id('task', 'tasks.id'),
  'CreateClientTokenInput.expiresInSeconds': plain(60),
  'RedeliverCallbackInput.id': id('task', 'tasks.id'),
  'RotateWebhookSecretInput.overlapSeconds': plain(60),
  'CreateUploadInput.fileName': names('word', { own: 'endUser', of: ['uploads.file_name'] }),
  'DeleteImageInput.id': id('image', 'images.id', 'uploads.id'),
  'CancelTaskInput.id': id('running', 'tasks.id'),
  'RetryTaskInput.id': id('task', 'tasks.id'),
  'RetryTaskInput.idempotencyKey': names('word', { of: ['tasks.idempotency_key'] }),
  'GenerateImagesInput.prompt': names('word', { own: 'endUser', of: ['tasks.prompt'] }),
  'GenerateImagesInput.model': plain('flux-dev'),
  'GenerateImagesInput.size': plain('512x512'),
  'GenerateImagesInput.count': plain(1),
  'GenerateImagesInput.callbackUrl': names('address', { of: ['tasks.callback_url'] }),
  'GenerateImagesInput.metadata': names('json', { of: ['tasks.metadata'] }),
  'GenerateImagesInput.endUserId': names('word', { of: ['tasks.end_user_id'] }),
  'GenerateImagesInput.idempotencyKey': names('word', { of: ['tasks.idempotency_key'] }),
  'GenerateImagesInput.timeoutSeconds': plain(600),
  'EditImageInput.prompt': names('word', { own: 'endUser', of: ['tasks.prompt'] }),
  'EditImageInput.sourceImageId': id('image', 'images.id', 'uploads.id'),
  'EditImageInput.sourceImageUrl': names('image link', { of: ['images.id'], instead: ['sourceImageId'] }),
  'EditImageInput.model': plain('flux-kontext-pro'),
  'EditImageInput.size': plain('1:1'),
  'EditImageInput.callbackUrl': names('address', { of: ['tasks.callback_url'] }),
  'EditImageInput.metadata': names('json', { of: ['tasks.metadata'] }),
  'EditImageInput.endUserId': names('word', { of: ['tasks.end_user_id'] }),
  'EditImageInput.idempotencyKey': names('word', { of: ['tasks.idempotency_key'] }),
  'EditImageInput.timeoutSeconds': plain(600),
};

/** Optional ones that are given all the same while another argument is asked about: without them nothing is done. */
export const ALWAYS_GIVEN: readonly string[] = ['EditImageInput.sourceImageId'];

/** An id of the same form that never was, and nothing lies between the two in any order. */
export function neighbourOf(known: string): string {
  const last = parseInt(known.slice(-1), 16);
  return known.slice(0, -1) + ((last + 1) % 16).toString(16);
}

/** An id that never was, of either kind that we have. */
export function unknownId(kind: 'neighbour' | 'v7' | 'v4', known: string): string {
  if (kind === 'neighbour') return neighbourOf(known);
  return kind === 'v7' ? newId() : randomUUID();
}

/** A word as the test makes them, that nobody has; `beside` the known one, with nothing between them in any order, or elsewhere. */
export function unknownWord(known: string, where: 'beside' | 'elsewhere'): string {
  return where === 'beside'
    ? `${known}0000`
    : known.replace(/^m[0-9a-f]{12}/, `m${randomBytes(6).toString('hex')}`);
}
