import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import {
  TaskDeliveriesDocument,
  type TaskDeliveriesQuery,
  WebhookSecretDocument,
} from '../../../clients/operations.js';
import { type ApiErrorBody } from '../../../src/core/flux-api/flux-error.js';
import { type FluxPicture } from '../../../src/services/flux-api/flux-reply.js';
import { type Received } from '../net/http-peer.js';
import { type TestApp } from '../app/test-app.js';

/** Lets results be posted to peers on loopback. */
export const LOOPBACK = { ALLOW_PRIVATE_HOSTS: '127.0.0.1' };
/** What costs the least to make. */
export const SMALL = { model: 'flux-2-klein', size: '64x64', count: 1 };

export type Deliveries = NonNullable<TaskDeliveriesQuery['task']>['deliveries'];

/** Any result, with everything that one can have. */
export interface Posted {
  success: boolean;
  task_id: string;
  trace_id: string;
  data: FluxPicture[];
  error: ApiErrorBody;
}

export function resultOf(received: Received | undefined): Posted {
  return JSON.parse(received?.body ?? 'null') as Posted;
}

export function webhookIdOf(received: Received | undefined): string {
  return String(received?.headers['webhook-id']);
}

/** A page of a task's attempts, newest first. */
export async function deliveriesOf(
  app: TestApp,
  id: string,
  first = 20,
  after?: string,
): Promise<Deliveries> {
  const { task } = await app.query(TaskDeliveriesDocument, { id, first, after });
  if (!task) throw new Error(`There is no task ${id}.`);
  return task.deliveries;
}

export async function secretOf(app: TestApp, key = app.key): Promise<string> {
  return (await app.query(WebhookSecretDocument, {}, key)).webhookSecret.secret;
}

/** What the package that receivers use says. */
export function isSigned(secret: string, { body, headers }: Received): boolean {
  try {
    new Webhook(secret).verify(body, headers as Record<string, string>);
    return true;
  } catch {
    return false;
  }
}

/** The signature by the words of the specification alone. */
export function signatureOf(secret: string, { body, headers }: Received): string {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const signed = [headers['webhook-id'], headers['webhook-timestamp'], body].join('.');
  return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
}

const ADD_ENDED = `
  WITH task AS (
    INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, input_hash, deadline_at,
                       finished_at, callback_url)
    SELECT uuidv7(), (SELECT id FROM workspaces ORDER BY created_at LIMIT 1), 'GENERATE', 'CANCELED', 'ended', 'flux-dev',
           1, '', now(), now(), $1
    FROM generate_series(1, $2::int)
    RETURNING id, workspace_id
  )
  INSERT INTO outgoing_callbacks (workspace_id, task_id, kind, receiver)
  SELECT workspace_id, id, 'RESULT', $3 FROM task RETURNING task_id AS id`;

/** Tasks that have ended, with their callbacks due: many of them, without what it costs to make and end them. */
export async function addEnded(
  db: Pick<TestApp, 'rows'>,
  callbackUrl: string,
  count: number,
): Promise<string[]> {
  const rows = await db.rows<{ id: string }>(ADD_ENDED, [callbackUrl, count, new URL(callbackUrl).origin]);
  return rows.map(({ id }) => id);
}
