import { randomBytes, randomUUID } from 'node:crypto';
import { newId } from '../../../src/core/primitives/ids.js';
import { type OwnResources } from './workspace-builder.js';

/** How an identifier, which is an ID or a marker, is encoded in an argument. */
export type ValueForm =
  /** An ID. */
  | 'id'
  /** A cursor of a list that is ordered by ID. It is a position between IDs, whether or not the item exists. */
  | 'id cursor'
  /** A cursor of the event log, at one of its events. */
  | 'event cursor'
  /** A cursor of budgets or of usage: a position between identifiers. */
  | 'budget cursor'
  | 'usage cursor'
  /** Free text. */
  | 'text'
  /** A signed link to an image of Darkroom. */
  | 'image link'
  /** A webhook URL. */
  | 'webhook URL'
  /** JSON that contains a marker. */
  | 'json';

/** How the test fills an argument or an input field. */
export type ArgumentValue =
  | {
      form: ValueForm;
      /** The caller's own resource that is sent while another argument is probed. Absent: the argument is omitted. */
      own?: keyof OwnResources;
      /** Columns with the identifiers that the argument takes. All of them are sent, and one of every other column. */
      columns?: string[];
      /** Sibling fields to omit while this one is probed. */
      omit?: string[];
    }
  /** The argument cannot name data. It always gets this value. Undefined: it is omitted. */
  | { fixedValue: unknown };

type ProbedOptions = Omit<Extract<ArgumentValue, { form: ValueForm }>, 'form'>;

const probed = (form: ValueForm, options: ProbedOptions = {}): ArgumentValue => ({ form, ...options });
const probedId = (own: keyof OwnResources, ...columns: string[]) => probed('id', { own, columns });
const fixed = (fixedValue?: unknown): ArgumentValue => ({ fixedValue });
const HOUR_MS = 3_600_000;

/** Every argument and input field with a scalar type. A new one needs a row that says what it can name. */
export const ARGUMENT_VALUES: Readonly<Record<string, ArgumentValue>> = {
  'Query.apiKeys(after:)': probed('id cursor', { columns: ['api_keys.id'] }),
  'Query.apiKeys(first:)': fixed(10),
  'Query.auditLog(after:)': probed('id cursor', { columns: ['audit_log.id'] }),
  'Query.auditLog(first:)': fixed(20),
  'AuditFilter.keyId': probedId('apiKey', 'api_keys.id'),
  'AuditFilter.since': fixed(new Date(Date.now() - HOUR_MS)),
  'AuditFilter.until': fixed(new Date(Date.now() + HOUR_MS)),
  'Query.budgets(after:)': probed('budget cursor', { columns: ['budgets.scope_id'] }),
  'Query.budgets(first:)': fixed(10),
  'Query.budgets(month:)': fixed(),
  'Query.callbacks(after:)': probed('id cursor', { columns: ['callbacks.id'] }),
  'Query.callbacks(first:)': fixed(2),
  'CallbackFilter.taskId': probedId('task', 'tasks.id'),
  'Query.image(id:)': probedId('image', 'images.id', 'uploads.id'),
  'Query.taskEvents(after:)': probed('event cursor'),
  'Query.taskEvents(first:)': fixed(2),
  'TaskEventFilter.taskIds': probedId('running', 'tasks.id'),
  'Query.task(id:)': probedId('task', 'tasks.id'),
  'Query.tasks(after:)': probed('id cursor', { columns: ['tasks.id'] }),
  'Query.tasks(first:)': fixed(2),
  'TaskFilter.models': probed('text'),
  'TaskFilter.createdAfter': fixed(new Date(Date.now() - HOUR_MS)),
  'TaskFilter.createdBefore': fixed(new Date(Date.now() + HOUR_MS)),
  'TaskFilter.search': probed('text', { columns: ['tasks.prompt'] }),
  'Query.usage(after:)': probed('usage cursor', { columns: ['tasks.key_id', 'tasks.end_user_id'] }),
  'Query.usage(first:)': fixed(20),
  'Query.usage(from:)': fixed(new Date(Date.now() - HOUR_MS)),
  'Query.usage(to:)': fixed(new Date(Date.now() + HOUR_MS)),
  'Task.webhookDeliveries(after:)': probed('id cursor', { columns: ['webhook_deliveries.id'] }),
  'Task.webhookDeliveries(first:)': fixed(1),
  'WebhookDelivery.attempts(after:)': probed('id cursor', { columns: ['webhook_attempts.id'] }),
  'WebhookDelivery.attempts(first:)': fixed(1),
  'Task.events(after:)': probed('event cursor'),
  'Task.events(first:)': fixed(1),
  'Image.url(width:)': fixed(64),
  'Image.edits(after:)': probed('id cursor', { columns: ['images.id'] }),
  'Image.edits(first:)': fixed(1),
  'Subscription.taskUpdated(id:)': probedId('running', 'tasks.id'),
  'Subscription.taskUpdated(after:)': probed('event cursor'),
  'Subscription.taskEvents(after:)': probed('event cursor'),
  'CreateApiKeyInput.name': probed('text', { own: 'endUser', columns: ['api_keys.name'] }),
  'CreateApiKeyInput.scopes': fixed(['tasks:read']),
  'CreateApiKeyInput.expiresAt': fixed(),
  'LimitsInput.requestsPerMinute': fixed(100),
  'LimitsInput.generationsPerMinute': fixed(100),
  'LimitsInput.generationsInFlight': fixed(100),
  'LimitsInput.connections': fixed(100),
  'RevokeApiKeyInput.id': probedId('apiKey', 'api_keys.id'),
  'RotateApiKeyInput.id': probedId('spareKey', 'api_keys.id'),
  'RotateApiKeyInput.gracePeriodSeconds': fixed(60),
  'CreateWorkspaceInput.name': probed('text', { own: 'endUser', columns: ['workspaces.name'] }),
  'CreateWorkspaceInput.scopes': fixed(['tasks:read']),
  'SetBudgetInput.scopeId': probedId('apiKey', 'api_keys.id', 'workspaces.id', 'budgets.scope_id'),
  'SetBudgetInput.amount': fixed('1000'),
  'SetBudgetInput.currency': fixed('USD'),
  'ReplayCallbackInput.id': probedId('callback', 'callbacks.id'),
  'CreateClientTokenInput.scopes': fixed(['tasks:read']),
  'CreateClientTokenInput.endUserId': probed('text', { columns: ['tasks.end_user_id'] }),
  'CreateClientTokenInput.taskIds': probedId('task', 'tasks.id'),
  'CreateClientTokenInput.expiresInSeconds': fixed(60),
  'RedeliverWebhookInput.taskId': probedId('task', 'tasks.id'),
  'RotateWebhookSecretInput.gracePeriodSeconds': fixed(60),
  'CreateUploadInput.fileName': probed('text', { own: 'endUser', columns: ['uploads.file_name'] }),
  'DeleteImageInput.id': probedId('image', 'images.id', 'uploads.id'),
  'CancelTaskInput.id': probedId('running', 'tasks.id'),
  'RetryTaskInput.id': probedId('task', 'tasks.id'),
  'RetryTaskInput.idempotencyKey': probed('text', { columns: ['tasks.idempotency_key'] }),
  'GenerateImagesInput.prompt': probed('text', { own: 'endUser', columns: ['tasks.prompt'] }),
  'GenerateImagesInput.model': fixed('flux-dev'),
  'GenerateImagesInput.size': fixed('512x512'),
  'GenerateImagesInput.count': fixed(1),
  'GenerateImagesInput.webhookUrl': probed('webhook URL', { columns: ['tasks.webhook_url'] }),
  'GenerateImagesInput.metadata': probed('json', { columns: ['tasks.metadata'] }),
  'GenerateImagesInput.endUserId': probed('text', { columns: ['tasks.end_user_id'] }),
  'GenerateImagesInput.idempotencyKey': probed('text', { columns: ['tasks.idempotency_key'] }),
  'GenerateImagesInput.timeoutSeconds': fixed(600),
  'EditImageInput.prompt': probed('text', { own: 'endUser', columns: ['tasks.prompt'] }),
  'EditImageInput.sourceImageId': probedId('image', 'images.id', 'uploads.id'),
  'EditImageInput.sourceImageUrl': probed('image link', { columns: ['images.id'], omit: ['sourceImageId'] }),
  'EditImageInput.model': fixed('flux-kontext-pro'),
  'EditImageInput.size': fixed('1:1'),
  'EditImageInput.webhookUrl': probed('webhook URL', { columns: ['tasks.webhook_url'] }),
  'EditImageInput.metadata': probed('json', { columns: ['tasks.metadata'] }),
  'EditImageInput.endUserId': probed('text', { columns: ['tasks.end_user_id'] }),
  'EditImageInput.idempotencyKey': probed('text', { columns: ['tasks.idempotency_key'] }),
  'EditImageInput.timeoutSeconds': fixed(600),
};

/** Optional arguments that are sent even while another one is probed, because the operation is rejected without them. */
export const ALWAYS_SENT: readonly string[] = ['EditImageInput.sourceImageId'];

/** How a nonexistent ID is made: as the neighbor of an existing one, or at random in one of the two UUID versions in use. */
export type NonexistentIdKind = 'neighbor' | 'v7' | 'v4';

/** Returns an ID of the same form that never existed. A 'neighbor' sorts directly beside `existingId`. */
export function nonexistentId(kind: NonexistentIdKind, existingId: string): string {
  if (kind === 'neighbor') {
    const lastDigit = parseInt(existingId.slice(-1), 16);
    return existingId.slice(0, -1) + ((lastDigit + 1) % 16).toString(16);
  }
  return kind === 'v7' ? newId() : randomUUID();
}

/** Returns a marker that no workspace has. 'beside' sorts directly beside the existing one. */
export function nonexistentMarker(existing: string, where: 'beside' | 'elsewhere'): string {
  return where === 'beside'
    ? `${existing}0000`
    : existing.replace(/^m[0-9a-f]{12}/, `m${randomBytes(6).toString('hex')}`);
}
