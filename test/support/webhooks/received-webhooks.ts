import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import {
  TaskWebhookDeliveriesDocument,
  type TaskWebhookDeliveriesQuery,
  WebhookSecretDocument,
} from '../../../clients/operations.js';
import { type FluxErrorBody } from '../../../src/core/flux-api/flux-errors.js';
import { type FluxImage } from '../../../src/services/flux-api/flux-reply.js';
import { type ReceivedRequest } from '../net/test-http-server.js';
import { type TestApp } from '../app/test-app.js';

/** Allows webhook URLs on loopback, where the test endpoints listen. */
export const ALLOW_LOOPBACK = { ALLOW_PRIVATE_HOSTS: '127.0.0.1' };
/** The request that the sandbox generates fastest. */
export const CHEAPEST_REQUEST = { model: 'flux-2-klein', size: '64x64', count: 1 };

export type WebhookDeliveries = NonNullable<TaskWebhookDeliveriesQuery['task']>['webhookDeliveries'];
export type WebhookAttempts = WebhookDeliveries['nodes'][number]['attempts'];

/** A webhook payload with every field that one can have. */
export interface WebhookPayload {
  success: boolean;
  task_id: string;
  trace_id: string;
  data: FluxImage[];
  error: FluxErrorBody;
}

export function webhookPayloadOf(received: ReceivedRequest | undefined): WebhookPayload {
  return JSON.parse(received?.body ?? 'null') as WebhookPayload;
}

export function webhookIdOf(received: ReceivedRequest | undefined): string {
  return String(received?.headers['webhook-id']);
}

/** Small enough that the other list can have 100 items within the cost limit of queries. */
const NESTED_PAGE_SIZE = 5;

/** A page of a task's webhook deliveries, newest first, each with its latest attempts. */
export async function webhookDeliveriesOf(
  app: TestApp,
  id: string,
  first = 20,
  after?: string,
): Promise<WebhookDeliveries> {
  const variables = { id, first, after, firstAttempts: NESTED_PAGE_SIZE };
  const { task } = await app.query(TaskWebhookDeliveriesDocument, variables);
  if (!task) throw new Error(`There is no task ${id}.`);
  return task.webhookDeliveries;
}

/** A page of the attempts to deliver a task's result, newest first. */
export async function webhookAttemptsOf(
  app: TestApp,
  id: string,
  firstAttempts = 20,
  afterAttempt?: string,
): Promise<WebhookAttempts> {
  const variables = { id, first: NESTED_PAGE_SIZE, firstAttempts, afterAttempt };
  const { task } = await app.query(TaskWebhookDeliveriesDocument, variables);
  const delivery = task?.webhookDeliveries.nodes.find(({ kind }) => kind === 'RESULT');
  if (!delivery) throw new Error(`Task ${id} has no webhook delivery with its result.`);
  return delivery.attempts;
}

export async function webhookSecretOf(app: TestApp, apiKey = app.apiKey): Promise<string> {
  return (await app.query(WebhookSecretDocument, {}, apiKey)).webhookSecret.secret;
}

/** Verifies the signature with the package that webhook endpoints use. */
export function hasValidSignature(secret: string, { body, headers }: ReceivedRequest): boolean {
  try {
    new Webhook(secret).verify(body, headers as Record<string, string>);
    return true;
  } catch {
    return false;
  }
}

/** Computes the signature from the Standard Webhooks specification, without a package. */
export function expectedSignature(secret: string, { body, headers }: ReceivedRequest): string {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const signedContent = [headers['webhook-id'], headers['webhook-timestamp'], body].join('.');
  return `v1,${createHmac('sha256', key).update(signedContent).digest('base64')}`;
}

const ADD_TASKS_WITH_DUE_WEBHOOKS = `
  WITH task AS (
    INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, input_hash, deadline_at,
                       finished_at, webhook_url)
    SELECT uuidv7(), (SELECT id FROM workspaces ORDER BY created_at LIMIT 1), 'GENERATE', 'CANCELED', 'ended', 'flux-dev',
           1, '', now(), now(), $1
    FROM generate_series(1, $2::int)
    RETURNING id, workspace_id
  )
  INSERT INTO webhook_deliveries (workspace_id, task_id, kind, endpoint)
  SELECT workspace_id, id, 'RESULT', $3 FROM task RETURNING task_id AS id`;

/** Inserts tasks that have ended and whose webhooks are due, without generating images. Returns their IDs. */
export async function addTasksWithDueWebhooks(
  db: Pick<TestApp, 'rows'>,
  webhookUrl: string,
  count: number,
): Promise<string[]> {
  const rows = await db.rows<{ id: string }>(ADD_TASKS_WITH_DUE_WEBHOOKS, [
    webhookUrl,
    count,
    new URL(webhookUrl).origin,
  ]);
  return rows.map(({ id }) => id);
}
