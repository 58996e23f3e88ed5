import { type Client } from 'pg';
import { promptVector } from '../src/db/tasks/prompt-search.js';
import { withClient } from './support/postgres.js';

/** How many prompts contain RARE_WORD, whatever the length of the history: slightly more than a page. */
const RARE_WORD_COUNT = 30;
export const RARE_WORD = 'zeppelin';
/** Occurs in about every eighth prompt. */
export const FREQUENT_WORD = 'lighthouse';
/** The shape of tasks, images and events repeats after this many tasks, so that pages of both histories have equal size. */
export const PERIOD = 500;
/** Time between tasks, which makes 100,000 tasks in about a month. */
const SPACING_SECONDS = 26;
const BATCH_SIZE = 10_000;

/**
 * Writes a history of `count` tasks for the workspace. Their IDs are UUIDv7 of their creation times. 85 % SUCCEEDED with one or
 * four stored images, 10 % FAILED, and a few have other statuses. They use four models, and all events are sealed. Finally the
 * tables are vacuumed and analyzed, as autovacuum would leave them.
 */
export async function fillHistory(databaseUrl: string, count: number): Promise<void> {
  await withClient(databaseUrl, async (client) => {
    await client.query('begin');
    await client.query(TASKS, [
      count,
      SPACING_SECONDS,
      PERIOD,
      RARE_WORD,
      Math.floor(count / RARE_WORD_COUNT),
    ]);
    await addSearchablePrompts(client);
    await client.query(IMAGES);
    await client.query(EVENTS);
    await client.query('commit');
    await client.query('vacuum (analyze) tasks, searchable_prompts, images, task_events');
  });
}

/** Adds the terms of all prompts, as the creation of each task does. */
async function addSearchablePrompts(client: Client): Promise<void> {
  const { rows } = await client.query<{ id: string; workspaceId: string; prompt: string }>(
    'select id, workspace_id as "workspaceId", prompt from tasks order by id',
  );
  for (let start = 0; start < rows.length; start += BATCH_SIZE) {
    const batch = rows.slice(start, start + BATCH_SIZE);
    await client.query(
      'insert into searchable_prompts select * from unnest($1::uuid[], $2::uuid[], $3::tsvector[])',
      [
        batch.map(({ workspaceId }) => workspaceId),
        batch.map(({ id }) => id),
        batch.map(({ workspaceId, prompt }) => promptVector(workspaceId, prompt)),
      ],
    );
  }
}

/** SQL for a pseudo-random number from 0 to `below` - 1 that is the same in every run. */
const pick = (value: string, below: number) => `((hashint4((${value})::int) & 2147483647) % ${below})`;
const word = (value: string, ...words: string[]) =>
  `(array['${words.join("','")}'])[1 + ${pick(value, words.length)}]`;

/** `age` is 0 for the newest task. */
const TASKS = `
  insert into tasks (id, workspace_id, kind, status, prompt, model, size, requested_count, delivered_count, failure,
                     upstream_task_id, attempts, input_hash, created_at, submitted_at, finished_at, deadline_at)
  select
    (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(age::text), 1, 3)
      || 'a' || substr(md5(age::text), 4, 15))::uuid,
    workspaces.id, 'GENERATE', status::task_status,
    concat_ws(' ', 'a', ${word('age + 1', 'quiet', 'bright', 'crowded', 'foggy', 'golden', 'weathered', 'tiny')},
      ${word('age + 2', 'lighthouse', 'harbour', 'siamese cat', 'market', 'forest path', 'violin', 'kitchen', 'fox')},
      case when age % $5 = $5 / 2 then 'under a ' || $4 end,
      ${word('age + 3', 'at dusk', 'in the rain', 'after snowfall', 'at noon', 'under neon light')} || ',',
      ${word('age + 4', 'oil on canvas', '35 mm photograph', 'watercolor', 'isometric render')} || ', take', age),
    ${word('age % $3', 'flux-dev', 'flux-dev', 'flux-pro', 'flux-kontext-pro', 'flux-2-pro')}, '1024x1024',
    image_count, case status when 'SUCCEEDED' then image_count else 0 end,
    case status when 'FAILED' then '{"code":"UPSTREAM_FAILED","message":"The upstream could not make it.",
      "retryable":true,"upstreamCode":"api_error","upstreamTraceId":null}'::jsonb end,
    md5('upstream' || age), 1, decode(md5(age::text) || md5(age::text), 'hex'),
    at, at + interval '1 second', case when status in ('UNCONFIRMED') then null else at + interval '9 seconds' end,
    at + interval '10 minutes'
  from workspaces, generate_series($1::int - 1, 0, -1) age,
    lateral (select date_trunc('milliseconds', now()) - make_interval(secs => age * $2::float) as at,
                    case when ${pick('age % $3 + 5', 5)} = 0 then 4 else 1 end as image_count,
                    ${pick('age % $3 + 6', 100)} as place) shape,
    lateral (select case when place < 85 then 'SUCCEEDED' when place < 95 then 'FAILED' when place < 97 then 'CANCELED'
                         when place < 99 then 'EXPIRED' else 'UNCONFIRMED' end as status) ending
  order by age desc`;

const IMAGES = `
  insert into images (id, workspace_id, task_id, index, upstream_url, seed, inference_seconds, created_at, width, height,
                      mime_type, byte_size, sha256, thumbhash, stored_at)
  select gen_random_uuid(), workspace_id, id, index, 'https://upstream.example/' || id || '/' || index || '.png',
         ${pick('index', 1_000_000)}, 3.5, finished_at, 1024, 1024, 'image/png', 1400000,
         decode(md5(id::text) || md5(id::text), 'hex'), decode(md5(id::text), 'hex'), finished_at + interval '1 second'
  from tasks, generate_series(0, delivered_count - 1) index
  order by id, index`;

const EVENTS = `
  insert into task_events (position, workspace_id, task_id, type, at, actor, data, settles_task)
  select row_number() over (order by at, task_id, place), workspace_id, task_id, type, at, actor, data, settles_task
  from (
    select workspace_id, id as task_id, 0 as place, 'TASK_REQUESTED' as type, created_at as at, 'first key' as actor,
           jsonb_build_object('kind', kind, 'model', model, 'size', size, 'requestedCount', requested_count) as data,
           false as settles_task
    from tasks
    union all
    select workspace_id, id, 1, 'TASK_SUBMITTED', submitted_at, 'submitter',
           jsonb_build_object('upstreamTaskId', upstream_task_id, 'attempt', 1), false
    from tasks
    union all
    select workspace_id, id, 2, 'TASK_' || status, finished_at, 'upstream callback',
           jsonb_build_object('deliveredCount', delivered_count), delivered_count = 0
    from tasks where finished_at is not null
    union all
    select workspace_id, task_id, 3 + index, 'IMAGE_STORED', stored_at, 'image store',
           jsonb_build_object('imageId', id, 'index', index, 'width', width, 'height', height), index = 0
    from images
  ) events`;
