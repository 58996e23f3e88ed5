import { type CallbackVerdict } from '../../core/callbacks/callback.js';
import { type EventData, type EventType } from '../../core/events/task-event.js';
import { type TaskFailure } from '../../core/tasks/task-failure.js';
import { type Reported } from '../../core/images/image.js';
import { type NewJob, type Ticket } from '../../core/jobs.js';
import { type Reach } from '../../core/access/visibility.js';
import {
  isEnd,
  statesBefore,
  type Task,
  TASK_PRIORITIES,
  type TaskKind,
  type TaskPriority,
  type TaskStatus,
} from '../../core/tasks/task.js';
import { type Database } from '../postgres/database.js';
import { reachValues } from '../access/visibility-filter.js';
import {
  CLAIM_TURNS,
  CLAIM_UNCHECKED,
  EXCHANGE_TICKET,
  FIND_OVERDUE,
  FIND_SUBMISSION,
  FIND_TASK,
  FIND_TASKS,
  FIND_TASK_BY_KEY,
  INSERT_TASK,
  KEEP_LATE,
  MOVE_TASK,
  NAME_UPSTREAM_TASK,
  RELEASE_HELD,
  UNCHECK,
} from './task-statements.js';

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
  retryOfId: string | null;
  callbackUrl: string | null;
  traceId: string | null;
  keyId: string;
  endUserId: string | null;
  priority: TaskPriority;
  /** Of one picture, as a decimal; null, with its currency: unknown. */
  unitPrice: string | null;
  currency: string | null;
}

/** A picture that a result brings. */
export interface NewImage {
  id: string;
  index: number;
  url: string;
  seed: string | null;
  inferenceSeconds: number | null;
  reported: Reported;
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
  /** Marks the run that makes the task SUBMITTING, and the job that is run. */
  submissionId?: string;
  ticketId?: string;
  /** Of a task that goes back to its line: not before. */
  notBefore?: Date;
  /** The callback that brings the move; kept with its verdict. */
  callback?: RawCallback;
  /** Only while this is the latest attempt to send it. */
  attempt?: number;
}

/** A task just after its move, and what was made of the callback that brought it. */
export type MovedTask = Task & { verdict: CallbackVerdict | null };

/** A run of a ticket that wants a task, and the mark that it gives it. */
export interface TurnAsked extends Ticket {
  submissionId: string;
}

/** What next_turns() said, and the task if it was made SUBMITTING. */
export type ClaimedTurn =
  | { turn: 'NEXT'; task: Task | null }
  | { turn: 'HELD'; taskId: string }
  | { turn: 'AGAIN' | 'TAKEN' | 'NOTHING' };

/** A callback's id and its body as it came. */
export interface RawCallback {
  id: string;
  body: Uint8Array;
}

/** The rows of `tasks`. Every method is one statement and throws DatabaseUnavailable when Postgres is away. */
export class Tasks {
  constructor(private readonly db: Database) {}

  /**
   * Writes the task, TASK_REQUESTED, the job that submits it and what it reserves. Null when the idempotency key is taken, or
   * a budget has no room; `Budgets.explain` tells why.
   */
  async insert(task: NewTask, actor: string): Promise<Task | null> {
    const [row] = await this.db.run<Task>(INSERT_TASK, insertValues(task, actor));
    return row ?? null;
  }

  /** Changes the status if the task's present one allows it, with all that `move` brings. Null: nothing was changed. */
  async moveTo<Type extends EventType>(
    id: string,
    status: TaskStatus,
    move: Move<Type> = {},
  ): Promise<MovedTask | null> {
    const [row] = await this.db.run<MovedTask>(MOVE_TASK, moveValues(id, status, move));
    return row ?? null;
  }

  /**
   * Makes the tasks whose turns it is SUBMITTING, one for each run of a ticket, and answers in the order of the asking.
   * NEXT without a task, and AGAIN: ask again. HELD: the ticket's task is SUBMITTING already, and it gets no other one.
   * TAKEN: another run has the ticket. NOTHING waits.
   */
  async claimTurns(asked: readonly TurnAsked[]): Promise<ClaimedTurn[]> {
    const values = moveValues('', 'SUBMITTING', {});
    values[0] = asked.map(({ taskId }) => taskId);
    values[17] = asked.map(({ submissionId }) => submissionId);
    values[19] = asked.map(({ id }) => id);
    values[20] = asked.map(({ attempt }) => attempt);
    type Row = Task & { turn: ClaimedTurn['turn']; turnOf: string };
    const rows = await this.db.run<Row>(CLAIM_TURNS, values);
    return rows.map(({ turn, turnOf, ...task }) => {
      if (turn === 'NEXT') return { turn, task: (task.id as string | null) === null ? null : task };
      return turn === 'HELD' ? { turn, taskId: turnOf } : { turn };
    });
  }

  /**
   * Puts a task of which surely nothing was made back into its line, to be sent again at `retryAt`. Does nothing when that was
   * done before, and only the answer was lost: by then the next attempt can be under way.
   */
  async putBack(
    { id, attempts }: Task,
    retryAt: Date,
    event: NonNullable<Move<'SUBMIT_REJECTED'>['event']>,
  ): Promise<void> {
    await this.moveTo(id, 'QUEUED', {
      event,
      attempt: attempts,
      notBefore: retryAt,
      jobs: [{ name: 'submit-task', payload: { taskId: id }, runAt: retryAt }],
    });
  }

  /** Queues another ticket for one that is about to be given up unused; false when another run has that. */
  async exchangeTicket({ id, attempt, taskId }: Ticket, runAt: Date): Promise<boolean> {
    return (await this.db.run(EXCHANGE_TICKET, [id, attempt, taskId, runAt])).length > 0;
  }

  /** Any workspace's task: for our own work. Doors ask `findMany`, which takes the reach. */
  async find(id: string): Promise<Task | null> {
    const [row] = await this.db.run<Task>(FIND_TASK, [id]);
    return row ?? null;
  }

  /** The task if it is SUBMITTING by this very run. */
  async findSubmission(id: string, submissionId: string): Promise<Task | null> {
    const [row] = await this.db.run<Task>(FIND_SUBMISSION, [id, submissionId]);
    return row ?? null;
  }

  /** The tasks within reach among these ids, in no order. */
  async findMany(reach: Reach, ids: readonly string[]): Promise<Task[]> {
    return this.db.within<Task>(reach.workspaceId, FIND_TASKS, [ids, ...reachValues(reach)]);
  }

  /** The task that an idempotency key stands for, of an end user or of nobody, and whether it was made from the same input. */
  async findByKey(
    { workspaceId, endUserId }: Pick<NewTask, 'workspaceId' | 'endUserId'>,
    key: string,
    inputHash: Buffer,
  ): Promise<(Task & { sameInput: boolean }) | null> {
    const values = [workspaceId, key, inputHash, endUserId];
    type Row = Task & { sameInput: boolean };
    const [row] = await this.db.within<Row>(workspaceId, FIND_TASK_BY_KEY, values);
    return row ?? null;
  }

  /** Keeps the pictures of a result that came after the end, and the callback with them; false when they were kept before. */
  async keepLate(id: string, images: NewImage[], actor: string, callback?: RawCallback): Promise<boolean> {
    const values = [id, JSON.stringify(images), actor, callback?.id ?? null, callback?.body ?? null];
    const [row] = await this.db.run<{ kept: number }>(KEEP_LATE, values);
    return (row?.kept ?? 0) > 0;
  }

  /** Frees what is held for a task that was given up, of which the upstream has told that it made nothing. */
  async releaseHeld(id: string): Promise<void> {
    await this.db.run(RELEASE_HELD, [id]);
  }

  /** Remembers the upstream's id for a task that a callback had moved on before the reply was read. */
  async nameUpstreamTask(id: string, upstreamTaskId: string, upstreamTraceId: string | null): Promise<void> {
    await this.db.run(NAME_UPSTREAM_TASK, [id, upstreamTaskId, upstreamTraceId]);
  }

  /** Up to `limit` tasks, running or given up, that nobody has asked about for long; marks them as asked about now. */
  async claimUnchecked(
    olderThanMs: number,
    limit: number,
  ): Promise<{ id: string; upstreamTaskId: string }[]> {
    return this.db.run(CLAIM_UNCHECKED, [olderThanMs, limit]);
  }

  /** Takes back that these were asked about: the answer did not come. */
  async uncheck(ids: readonly string[]): Promise<void> {
    await this.db.run(UNCHECK, [ids]);
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
    task.retryOfId,
    task.callbackUrl,
    task.traceId,
    task.keyId,
    task.endUserId,
    TASK_PRIORITIES.indexOf(task.priority),
    task.unitPrice,
    task.currency,
  ];
}

/** The values of MOVE_TASK, in its order. */
export function moveValues(id: string, status: TaskStatus, move: Move): unknown[] {
  const allowed = statesBefore(status);
  const images = move.images ?? [];
  return [
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
    move.callback?.id ?? null,
    move.callback?.body ?? null,
    move.submissionId ?? null,
    move.notBefore ?? null,
    move.ticketId ?? null,
    move.attempt ?? null,
  ];
}
