import { newId } from '../../../src/core/primitives/ids.js';
import { type TestApp } from '../app/test-app.js';
import { type Answered } from './compare-responses.js';

/** Marks events of a test that say only: what came before has been sent. */
const MARK = 'walk-sentinel';

/** Writes an event of this task, past the service; the text that is in it. */
export async function writeSentinel(app: TestApp, taskId: string): Promise<string> {
  const sentinel = `${MARK} ${newId()}`;
  await app.rows(
    `INSERT INTO task_events (workspace_id, task_id, type, actor, data)
     SELECT workspace_id, id, 'TASK_SUBMITTED', 'test', jsonb_build_object('sentinel', $2::text) FROM tasks WHERE id = $1`,
    [taskId, sentinel],
  );
  await app.rows('SELECT seal_events(1000)');
  return sentinel;
}

/**
 * Opens a stream of server-sent events, lets `meanwhile` happen, and then an event of the task `ownTask`; what was sent until
 * that came, or until the stream ended, without such events.
 */
export async function watchUntil(
  app: TestApp,
  { operation, key }: { operation: object; key: string },
  ownTask: string,
  meanwhile: () => Promise<void>,
): Promise<Answered> {
  const leave = new AbortController();
  const response = await fetch(`${app.url}/graphql/stream`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(operation),
    signal: leave.signal,
  });
  await meanwhile();
  const sentinel = await writeSentinel(app, ownTask);
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.includes(sentinel) && text.endsWith('\n\n')) break;
  }
  leave.abort();
  const said = text.split('\n\n').filter((block) => !block.includes(MARK) && !block.startsWith(':'));
  const headers = Object.fromEntries(response.headers);
  return { status: response.status, headers, text: said.join('\n\n'), statements: [] };
}

/** What an answer of GraphQL over server-sent events has shown. */
export function pushedIn(text: string): unknown[] {
  const payloads = [...text.matchAll(/^data: (\{.*)$/gm)].map(
    ([, json = '']) => JSON.parse(json) as { data?: unknown },
  );
  return payloads.map(({ data }) => data);
}
