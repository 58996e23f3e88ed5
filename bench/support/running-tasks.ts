import { writeFile } from 'node:fs/promises';
import { newId } from '../../src/core/primitives/ids.js';
import { type Signer } from '../../src/core/access/signer.js';
import { withClient } from './postgres.js';

/** Inserts tasks that are running at the upstream. Writes their IDs to a file for a load process and returns its path. */
export async function createRunningTasks(
  databaseUrl: string,
  workspaceId: string,
  count: number,
  file: string,
): Promise<string> {
  const ids = Array.from({ length: count }, () => newId());
  await withClient(databaseUrl, async (client) => {
    await client.query(
      `insert into tasks (id, workspace_id, kind, status, prompt, model, requested_count, input_hash, submitted_at,
                          upstream_task_id, deadline_at)
       select id, $2, 'GENERATE', 'RUNNING', 'a white siamese cat', 'flux-dev', 1, '', now(), id::text,
              now() + interval '1 hour'
       from unnest($1::uuid[]) as id`,
      [ids, workspaceId],
    );
    await client.query('vacuum analyze tasks');
  });
  await writeFile(file, JSON.stringify(ids));
  return file;
}

/** The path of the task's callback URL. */
export function callbackPath(signer: Signer, id: string): string {
  return `/callbacks/flux/${id}/1.${signer.sign('flux-callback', `${id}.1`)}`;
}

/** The body of a callback, as the upstream posts it. */
export function callbackBody(id: string): string {
  const data = [
    {
      prompt: 'a white siamese cat',
      image_url: imageUrl(id),
      seed: 1698551532,
      timings: { inference: 3.328 },
    },
  ];
  return JSON.stringify({ success: true, task_id: id, trace_id: id, data });
}

export function imageUrl(id: string): string {
  return `https://images.invalid/${id}.png`;
}
