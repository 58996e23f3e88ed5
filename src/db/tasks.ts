import { type EventData, type EventType } from '../core/events.js';
import { type TaskFailure } from '../core/errors.js';
import { type NewJob } from '../core/jobs.js';
import { isEnd, statesBefore, type Task, type TaskKind, type TaskStatus } from '../core/task.js';
import { type Database } from './database.js';

/** A task that is about to be written. */
export interface NewTask {
  id: string;
  workspaceId: string;
  kind: TaskKind;
  prompt: string;
  model: string;
  size: string | null;
  requestedCount: number;
  sourceImageId: string | null;
  sourceImageUrl: string | null;
  idempotencyKey: string | null;
  inputHash: Buffer;
  metadata: unknown;
  timeoutSeconds: number;
}

/** A picture that a result brings. */
export interface NewImage {
  id: string;
  index: number;
  url: string;
  seed: string | null;
  inferenceSeconds: number | null;
}

/** What goes with a change of status, all in the same commit. */
export interface Move<Type extends EventType = EventType> {
  /** Narrows the states the task may come from; never widens what core/task.ts allows. */
  from?: readonly TaskStatus[];
  event?: { type: Type; actor: string; data: EventData[Type] };
  jobs?: NewJob[];
  images?: NewImage[];
  failure?: TaskFailure;
  upstreamTaskId?: string | null;
  upstreamTraceId?: string | null;
}

/** The columns of `Task`, for every statement that returns one. */
export const TASK_COLUMNS = `
  task.id, task.workspace_id AS "workspaceId", task.kind, task.status, task.prompt, task.model, task.size,
  task.requested_count AS "requestedCount", task.delivered_count AS "deliveredCount",
  task.pending_images AS "pendingImages", task.source_image_id AS "sourceImageId",
  task.source_image_url AS "sourceImageUrl", task.failure, task.upstream_task_id AS "upstreamTaskId",
  task.upstream_trace_id AS "upstreamTraceId", task.attempts, task.idempotency_key AS "idempotencyKey",
  task.metadata, task.created_at AS "createdAt", task.submitted_at AS "submittedAt",
  task.finished_at AS "finishedAt", task.deadline_at AS "deadlineAt",
  (SELECT head.position::text FROM event_log_head head) AS "logPosition"`;

/** One commit: the task, its first event and its job. No row comes back when the idempotency key is taken. */
export const INSERT_TASK = {
  name: 'insert-task',
  text: `
  WITH task AS (
    INSERT INTO tasks (id, workspace_id, kind, prompt, model, size, requested_count, source_image_id,
                       source_image_url, idempotency_key, input_hash, metadata, deadline_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::json, now() + make_interval(secs => $13))
    ON CONFLICT (workspace_id, idempotency_key) DO NOTHING
    RETURNING *
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data)
    SELECT workspace_id, id, 'TASK_REQUESTED', $14, $15::jsonb FROM task
  ), job AS (
    SELECT graphile_worker.add_job('submit-task', json_build_object('taskId', id)) FROM task
  )
  SELECT ${TASK_COLUMNS}, (SELECT count(*) FROM job) AS jobs FROM task`,
};

/** Every change of status is this statement: compare and set, with the images, the event and the jobs it brings. */
const MOVE_TASK = {
  name: 'move-task',
  text: `
  WITH task AS (
    UPDATE tasks SET
      status = $2,
      attempts = attempts + $4,
      failure = coalesce($5::jsonb, failure),
      upstream_task_id = coalesce($6, upstream_task_id),
      upstream_trace_id = coalesce($7, upstream_trace_id),
      submitted_at = CASE WHEN $8 THEN coalesce(submitted_at, now()) ELSE submitted_at END,
      finished_at = CASE WHEN $9 THEN now() ELSE finished_at END,
      delivered_count = delivered_count + $10,
      pending_images = pending_images + $10
    WHERE id = $1 AND status = ANY($3::task_status[])
    RETURNING *
  ), image AS (
    INSERT INTO images (id, workspace_id, task_id, index, upstream_url, seed, inference_seconds, parent_id)
    SELECT new.id, task.workspace_id, task.id, new.index, new.url, new.seed, new."inferenceSeconds",
           task.source_image_id
    FROM task, jsonb_to_recordset($11::jsonb)
      AS new(id uuid, index smallint, url text, seed text, "inferenceSeconds" double precision)
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data, settles)
    SELECT workspace_id, id, $12::text, $13, $14::jsonb, $9 AND pending_images = 0 FROM task
    WHERE $12::text IS NOT NULL
  ), job AS (
    SELECT graphile_worker.add_job(new.name, new.payload, run_at := new."runAt")
    FROM task, jsonb_to_recordset($15::jsonb) AS new(name text, payload json, "runAt" timestamptz)
  )
  SELECT ${TASK_COLUMNS}, (SELECT count(*) FROM job) AS jobs FROM task`,
};

const FIND_TASK = {
  name: 'find-task',
  text: `SELECT ${TASK_COLUMNS} FROM tasks task WHERE task.id = $1`,
};

const FIND_TASK_BY_KEY = {
  name: 'find-task-by-key',
  text: `SELECT ${TASK_COLUMNS}, task.input_hash = $3 AS "sameInput"
         FROM tasks task WHERE task.workspace_id = $1 AND task.idempotency_key = $2`,
};

const FIND_TASKS = {
  name: 'find-tasks',
  text: `SELECT ${TASK_COLUMNS} FROM tasks task WHERE task.workspace_id = $1 AND task.id = ANY($2::uuid[])`,
};

const NAME_UPSTREAM_TASK = {
  name: 'name-upstream-task',
  text: `UPDATE tasks SET upstream_task_id = coalesce(upstream_task_id, $2),
                          upstream_trace_id = coalesce(upstream_trace_id, $3),
                          submitted_at = coalesce(submitted_at, now())
         WHERE id = $1`,
};

/** Pictures that were paid for and come after the end: kept and told, and the task is not reopened. */
const KEEP_LATE = {
  name: 'keep-late-images',
  text: `
  WITH task AS (
    SELECT id, workspace_id, source_image_id FROM tasks
    WHERE id = $1 AND status IN ('FAILED', 'CANCELED', 'EXPIRED') FOR NO KEY UPDATE
  ), image AS (
    INSERT INTO images (id, workspace_id, task_id, index, upstream_url, seed, inference_seconds, parent_id, late)
    SELECT new.id, task.workspace_id, task.id, new.index, new.url, new.seed, new."inferenceSeconds",
           task.source_image_id, true
    FROM task, jsonb_to_recordset($2::jsonb)
      AS new(id uuid, index smallint, url text, seed text, "inferenceSeconds" double precision)
    ON CONFLICT (task_id, index) DO NOTHING
    RETURNING id
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data)
    SELECT workspace_id, id, 'LATE_RESULT_ARRIVED', $3,
           jsonb_build_object('deliveredCount', (SELECT count(*) FROM image), 'imageIds', (SELECT jsonb_agg(id) FROM image))
    FROM task WHERE EXISTS (SELECT FROM image)
  ), job AS (
    SELECT graphile_worker.add_job('store-images', json_build_object('taskId', id)) FROM task
    WHERE EXISTS (SELECT FROM image)
  )
  SELECT (SELECT count(*) FROM image)::int AS kept, (SELECT count(*) FROM job) AS jobs`,
};

const CLAIM_UNCHECKED = {
  name: 'claim-unchecked',
  text: `
  UPDATE tasks SET checked_at = now() WHERE id IN (
    SELECT id FROM tasks
    WHERE status = 'RUNNING' AND upstream_task_id IS NOT NULL
      AND coalesce(checked_at, submitted_at) < now() - make_interval(secs => $1 / 1000.0)
    ORDER BY coalesce(checked_at, submitted_at) LIMIT $2 FOR UPDATE SKIP LOCKED)
  RETURNING id, upstream_task_id AS "upstreamTaskId"`,
};

const FIND_OVERDUE = {
  name: 'find-overdue',
  text: `SELECT ${TASK_COLUMNS} FROM tasks task
         WHERE status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING') AND deadline_at < now()
         ORDER BY deadline_at LIMIT $1`,
};

/** The rows of `tasks`. Every method is one statement and throws DatabaseUnavailable when Postgres is away. */
export class Tasks {
  constructor(private readonly db: Database) {}

  /** Writes the task, TASK_REQUESTED and the job that submits it. Null when the idempotency key is taken. */
  async insert(task: NewTask, actor: string): Promise<Task | null> {
    const [row] = await this.db.run<Task>(INSERT_TASK, insertValues(task, actor));
    return row ?? null;
  }

  /** Changes the status if the task's present one allows it, with all that `move` brings. Null: nothing was changed. */
  async moveTo<Type extends EventType>(
    id: string,
    status: TaskStatus,
    move: Move<Type> = {},
  ): Promise<Task | null> {
    const allowed = statesBefore(status);
    const images = move.images ?? [];
    const [row] = await this.db.run<Task>(MOVE_TASK, [
      id,
      status,
      move.from ? allowed.filter((from) => move.from?.includes(from)) : allowed,
      status === 'SUBMITTING' ? 1 : 0,
      move.failure ? JSON.stringify(move.failure) : null,
      move.upstreamTaskId ?? null,
      move.upstreamTraceId ?? null,
      status === 'RUNNING' || status === 'SUCCEEDED',
      isEnd(status),
      images.length,
      JSON.stringify(images),
      move.event?.type ?? null,
      move.event?.actor ?? null,
      JSON.stringify(move.event?.data ?? {}),
      JSON.stringify(move.jobs ?? []),
    ]);
    return row ?? null;
  }

  /** Any workspace's task: for our own work. Doors ask `findMany`, which takes the workspace. */
  async find(id: string): Promise<Task | null> {
    const [row] = await this.db.run<Task>(FIND_TASK, [id]);
    return row ?? null;
  }

  /** The workspace's tasks among these ids, in no order. */
  async findMany(workspaceId: string, ids: readonly string[]): Promise<Task[]> {
    return this.db.run<Task>(FIND_TASKS, [workspaceId, ids]);
  }

  /** The task that an idempotency key stands for, and whether it was made from the same input. */
  async findByKey(
    workspaceId: string,
    key: string,
    inputHash: Buffer,
  ): Promise<(Task & { sameInput: boolean }) | null> {
    const [row] = await this.db.run<Task & { sameInput: boolean }>(FIND_TASK_BY_KEY, [
      workspaceId,
      key,
      inputHash,
    ]);
    return row ?? null;
  }

  /** Keeps the pictures of a result that came after the end; false when they were kept before. */
  async keepLate(id: string, images: NewImage[], actor: string): Promise<boolean> {
    const [row] = await this.db.run<{ kept: number }>(KEEP_LATE, [id, JSON.stringify(images), actor]);
    return (row?.kept ?? 0) > 0;
  }

  /** Remembers the upstream's id for a task that a callback had moved on before the reply was read. */
  async nameUpstreamTask(id: string, upstreamTaskId: string, upstreamTraceId: string | null): Promise<void> {
    await this.db.run(NAME_UPSTREAM_TASK, [id, upstreamTaskId, upstreamTraceId]);
  }

  /** Up to `limit` running tasks that nobody has asked about for `olderThanMs`; marks them as asked about now. */
  async claimUnchecked(
    olderThanMs: number,
    limit: number,
  ): Promise<{ id: string; upstreamTaskId: string }[]> {
    return this.db.run(CLAIM_UNCHECKED, [olderThanMs, limit]);
  }

  /** Up to `limit` tasks that have not ended although their deadline has passed. */
  async findOverdue(limit: number): Promise<Task[]> {
    return this.db.run<Task>(FIND_OVERDUE, [limit]);
  }
}

/** The values of INSERT_TASK, in its order. */
export function insertValues(task: NewTask, actor: string): unknown[] {
  const { kind, model, size, requestedCount } = task;
  return [
    task.id,
    task.workspaceId,
    kind,
    task.prompt,
    model,
    size,
    requestedCount,
    task.sourceImageId,
    task.sourceImageUrl,
    task.idempotencyKey,
    task.inputHash,
    task.metadata === undefined || task.metadata === null ? null : JSON.stringify(task.metadata),
    task.timeoutSeconds,
    actor,
    JSON.stringify({ kind, model, size, requestedCount }),
  ];
}
