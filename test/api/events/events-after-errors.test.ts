import { type TypedDocumentNode } from '@graphql-typed-document-node/core';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parse } from 'graphql';
import pg from 'pg';
import { insertEvent } from '../../support/events/event-rows.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';

interface Pushed {
  taskEvents: { cursor: string; task: { id: string; images: { id: string }[] } };
}
const EVENTS = parse(
  'subscription ($after: String) { taskEvents(after: $after) { cursor task { id images { id } } } }',
) as TypedDocumentNode<Pushed, { after?: string }>;

let app: TestApp;
let sql: pg.Pool;
beforeAll(async () => {
  app = await TestApp.start();
  sql = new pg.Pool({ connectionString: app.databaseUrl, max: 1 });
});
afterAll(async () => {
  await sql.end();
  await app.stop();
});

test('an event that cannot be rendered because of an unknown error arrives when the error is gone', async () => {
  const { id } = await app.generate({ prompt: 'a prompt' });
  await app.waitUntilSettled(id);
  const after = (await app.history(id)).at(-1)?.cursor;
  await sql.query('ALTER TABLE images RENAME TO hidden_images');
  await insertEvent(sql, id, 'TASK_SUBMITTED');
  const subscription = app.openSubscription(EVENTS, { after });
  const { received } = subscription;
  let failure: unknown = null;
  subscription.ended.catch((error: unknown) => (failure = error));
  const isRetried = () => app.logLines.some((line) => line.includes('cannot render an event; retrying'));
  await waitFor('the error', () => failure ?? isRetried());
  await sql.query('ALTER TABLE hidden_images RENAME TO images');
  await waitFor('the event', () => failure ?? received.length > 0);
  expect(failure).toBeNull();
  expect(received.map(({ taskEvents }) => taskEvents.task)).toEqual([{ id, images: [expect.anything()] }]);
  subscription.stop();
});
