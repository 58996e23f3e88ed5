import { newId } from '../../../src/core/primitives/ids.js';
import { type TestApp } from '../app/test-app.js';
import { type RecordedResponse } from './compare-responses.js';

/** Marks sentinels: events of the test whose arrival shows that every earlier event has been pushed. */
const SENTINEL_PREFIX = 'isolation-sentinel';

/** Inserts a sentinel event of a task directly into the database, and returns the text that it contains. */
export async function writeSentinel(app: TestApp, taskId: string): Promise<string> {
  const sentinel = `${SENTINEL_PREFIX} ${newId()}`;
  await app.rows(
    `INSERT INTO task_events (workspace_id, task_id, type, actor, data)
     SELECT workspace_id, id, 'TASK_SUBMITTED', 'test', jsonb_build_object('sentinel', $2::text) FROM tasks WHERE id = $1`,
    [taskId, sentinel],
  );
  await app.rows('SELECT seal_events(1000)');
  return sentinel;
}

/**
 * Opens a GraphQL stream of server-sent events, calls `whileOpen`, and then writes a sentinel event of the caller's own
 * task. Returns what was received until the sentinel or the end of the stream, without sentinels.
 */
export async function streamUntilSentinel(
  app: TestApp,
  { operation, apiKey }: { operation: object; apiKey: string },
  ownTaskId: string,
  whileOpen: () => Promise<void>,
): Promise<RecordedResponse> {
  const abort = new AbortController();
  const response = await fetch(`${app.url}/graphql/stream`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(operation),
    signal: abort.signal,
  });
  await whileOpen();
  const sentinel = await writeSentinel(app, ownTaskId);
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.includes(sentinel) && text.endsWith('\n\n')) break;
  }
  abort.abort();
  const blocks = text
    .split('\n\n')
    .filter((block) => !block.includes(SENTINEL_PREFIX) && !block.startsWith(':'));
  const headers = Object.fromEntries(response.headers);
  return { status: response.status, headers, text: blocks.join('\n\n'), statements: [] };
}

/** Returns the `data` of each result in a GraphQL stream of server-sent events. */
export function parsePushedData(text: string): unknown[] {
  return [...text.matchAll(/^data: (\{.*)$/gm)].map(
    ([, json = '']) => (JSON.parse(json) as { data?: unknown }).data,
  );
}
