import { newId } from '../src/core/primitives/ids.js';
import { type Visibility } from '../src/core/access/visibility.js';
import { ApiKeyRepository } from '../src/db/access/api-key-repository.js';
import { EventRepository } from '../src/db/events/event-repository.js';
import { ImageRepository } from '../src/db/images/image-repository.js';
import { type Prisma } from '../src/db/generated/client.js';
import { InFlightRepository } from '../src/db/limits/in-flight-repository.js';
import { type Database } from '../src/db/postgres/database.js';
import { TaskRepository } from '../src/db/tasks/task-repository.js';
import { newTask } from './support/new-task.js';

/** One statement of ours and its equivalent in Prisma Client. Both return what they have read or written. */
export interface PrismaCase {
  title: string;
  sql: (db: Database) => Promise<unknown[]>;
  prisma: (db: Database) => Promise<unknown[]>;
}

const PAGE_SIZE = 21;
const EVENTS = 100;
const ACTOR = 'bench';

/**
 * The cases, for a database that `fillHistory` has filled. `taskIds` are tasks of the workspace. `queuedIds` are tasks that the
 * transitions change, in turn.
 */
export function prismaCases({
  visibility,
  taskIds,
  queuedIds,
  keyHashes,
}: {
  visibility: Visibility;
  taskIds: readonly string[];
  queuedIds: readonly string[];
  keyHashes: readonly Buffer[];
}): Record<string, PrismaCase> {
  const { workspaceId } = visibility;
  const [nextTask, nextQueued, nextHash] = [cycle(taskIds), cycle(queuedIds), cycle(keyHashes)];
  const twentyTasks = taskIds.slice(0, 20);
  return {
    create: {
      title: 'create a task, with its event and job',
      sql: async (db) => [await new TaskRepository(db).insert(newTask(workspaceId), ACTOR)],
      prisma: async (db) => [await createTask(db, workspaceId)],
    },
    transition: {
      title: 'two transitions of a task, with their events',
      sql: async (db) => {
        const [tasks, id] = [new TaskRepository(db), nextQueued()];
        const data = { upstreamTaskId: null, attempt: 1 };
        const event = { type: 'TASK_SUBMITTED', actor: ACTOR, data } as const;
        const submitting = await tasks.transitionTo(id, 'SUBMITTING', { event });
        return [submitting, await tasks.transitionTo(id, 'QUEUED', { event })];
      },
      prisma: async (db) => {
        const id = nextQueued();
        return [await transition(db, id, 'SUBMITTING'), await transition(db, id, 'QUEUED')];
      },
    },
    find: {
      title: 'a task by its ID, for a caller',
      sql: (db) => new TaskRepository(db).findMany(visibility, [nextTask()]),
      prisma: (db) =>
        db.withPrismaAsCaller({ workspaceId }, (prisma) =>
          findTasks(prisma, { workspaceId, id: { in: [nextTask()] } }),
        ),
    },
    findOwn: {
      title: 'the same, for a job',
      sql: async (db) => [await new TaskRepository(db).find(nextTask())],
      prisma: (db) => findTasks(db.prisma, { id: { in: [nextTask()] } }),
    },
    images: {
      title: 'the images of 20 tasks, for a caller',
      sql: (db) => new ImageRepository(db).findByTasks(workspaceId, twentyTasks),
      prisma: (db) =>
        db.withPrismaAsCaller({ workspaceId }, (prisma) =>
          prisma.image.findMany({
            where: { workspaceId, taskId: { in: twentyTasks } },
            orderBy: { index: 'asc' },
          }),
        ),
    },
    page: {
      title: 'the first page of 20 tasks, for a caller',
      sql: (db) => new TaskRepository(db).page(visibility, {}, { before: null, limit: PAGE_SIZE }),
      prisma: (db) => db.withPrismaAsCaller({ workspaceId }, (prisma) => findTasks(prisma, { workspaceId })),
    },
    callerEvents: {
      title: `${EVENTS} events after a position, for a caller`,
      sql: (db) => new EventRepository(db).readVisibleAfter(visibility, { position: 1_000n, limit: EVENTS }),
      prisma: (db) =>
        db.withPrismaAsCaller({ workspaceId }, (prisma) =>
          prisma.taskEvent.findMany(eventsAfter(1_000n, workspaceId)),
        ),
    },
    events: {
      title: `${EVENTS} events after a position, to push them`,
      sql: (db) => new EventRepository(db).readAfter(1_000n, EVENTS),
      prisma: (db) => db.prisma.taskEvent.findMany(eventsAfter(1_000n)),
    },
    head: {
      title: 'the last position of the event log',
      sql: async (db) => [await new EventRepository(db).headPosition()],
      prisma: async (db) => [await db.prisma.taskEvent.aggregate({ _max: { position: true } })],
    },
    release: {
      title: 'give back room under an in-flight limit',
      sql: async (db) => [await new InFlightRepository(db).release(newId())],
      prisma: async (db) => [await db.prisma.inFlightLease.deleteMany({ where: { taskId: newId() } })],
    },
    key: {
      title: 'an API key by its hash',
      sql: async (db) => [await new ApiKeyRepository(db).findByHash(nextHash())],
      prisma: async (db) => [
        await db.prisma.apiKey.findUnique({
          where: { hash: new Uint8Array(nextHash()) },
          omit: { hash: true },
          include: { workspace: { select: { name: true } } },
        }),
      ],
    },
  };
}

/** Returns the values in turn, so that concurrent lookups differ: Prisma would make one query of equal ones. */
function cycle<Value>(values: readonly Value[]): () => Value {
  let next = 0;
  return () => values[(next += 1) % values.length] as Value;
}

/** A nested create of the task and its event. Prisma has no call for the job, so a statement adds it in the same transaction. */
async function createTask(db: Database, workspaceId: string) {
  const { timeoutSeconds, inputHash, ...fields } = newTask(workspaceId);
  const task = { ...fields, priority: 1, metadata: undefined };
  const { kind, model, size, requestedCount } = task;
  const data = { kind, model, size, requestedCount };
  const [created] = await db.prisma.$transaction([
    db.prisma.task.create({
      data: {
        ...task,
        inputHash: new Uint8Array(inputHash),
        deadlineAt: new Date(Date.now() + timeoutSeconds * 1000),
        events: { create: { workspaceId, type: 'TASK_REQUESTED', actor: ACTOR, data } },
      },
    }),
    db.prisma.$executeRaw`
        SELECT enqueue_job('submit-task', json_build_object('taskId', ${task.id}::text), job_flags := ARRAY['upstream'])`,
  ]);
  return created;
}

/** Compares and sets the status, and inserts the event only if that changed the task. */
function transition(db: Database, id: string, status: 'QUEUED' | 'SUBMITTING') {
  const before = status === 'QUEUED' ? 'SUBMITTING' : 'QUEUED';
  return db.transactionWithPrisma(async (prisma) => {
    const [task] = await prisma.task.updateManyAndReturn({
      where: { id, status: before, deadlineAt: { gt: new Date() } },
      data: { status, attempts: { increment: status === 'SUBMITTING' ? 1 : 0 }, submissionId: newId() },
    });
    if (!task) return null;
    const { workspaceId } = task;
    await prisma.taskEvent.create({
      data: { workspaceId, taskId: id, type: 'TASK_SUBMITTED', actor: ACTOR, data: {} },
    });
    return task;
  });
}

async function findTasks(prisma: Prisma.TransactionClient, where: Prisma.TaskWhereInput) {
  const tasks = await prisma.task.findMany({ where, orderBy: { id: 'desc' }, take: PAGE_SIZE });
  const { _max: head } = await prisma.taskEvent.aggregate({ _max: { position: true } });
  return tasks.map((task) => ({ ...task, eventLogPosition: head.position }));
}

/** The end user of an event is in its task. */
function eventsAfter(position: bigint, workspaceId?: string) {
  return {
    where: { workspaceId, position: { gt: position } },
    include: { task: { select: { endUserId: true } } },
    orderBy: { position: 'asc' },
    take: EVENTS,
  } as const;
}
