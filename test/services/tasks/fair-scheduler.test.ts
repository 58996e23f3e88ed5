import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { DatabaseUnavailable } from '../../../src/core/errors.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Ticket } from '../../../src/core/jobs.js';
import { type Task } from '../../../src/core/tasks/task.js';
import { type Statement } from '../../../src/db/postgres/database.js';
import { waitFor } from '../../support/wait-for.js';
import { type Instance, WaitingLine } from '../../support/tasks/scheduler-fixture.js';

let line: WaitingLine;
let instance: Instance;
beforeAll(async () => {
  line = await WaitingLine.open();
  instance = line.instance();
});
beforeEach(() => line.clear());
afterAll(() => line.close());

const asker = { workspaceId: newId() };
const isTaken = { message: 'The queue has given this ticket to another run.' };

/** The task that is sent next. */
async function next(): Promise<Task> {
  const task = await line.runTicket(instance);
  if (!task) throw new Error('Nothing is to be sent.');
  return task;
}
function rejected({ attempts: attempt }: Task) {
  const data = { attempt, code: 'too_many_requests', message: 'later', retryAt: new Date().toISOString() };
  return { type: 'SUBMIT_REJECTED', actor: 'test', data } as const;
}

/** The first claim of this instance goes through `claim` instead of straight to Postgres. */
function interceptClaim(of: Instance, claim: (run: () => Promise<unknown>) => Promise<never>): void {
  const run = of.db.run.bind(of.db);
  let isFirst = true;
  of.db.run = async <Row extends object>(statement: Statement, values: unknown[]): Promise<Row[]> => {
    if (statement.name !== 'claim-turns' || !isFirst) return run<Row>(statement, values);
    isFirst = false;
    return claim(() => run(statement, values));
  };
}

describe('a ticket', () => {
  test('sends the task whose turn it is, and not the one that it was queued with', async () => {
    const [first, second] = await line.queueMany(2, asker);
    const ticket = await line.tickets.take(1);
    expect(ticket?.taskId).toBe(second);
    const { task } = await instance.turns.take(ticket ?? (await line.ticket()));
    expect(task).toMatchObject({ id: first, status: 'SUBMITTING', attempts: 1 });
  });

  test('of a task that was canceled serves another, and the last one finds nothing', async () => {
    const [first = '', second] = await line.queueMany(2, asker);
    await instance.tasks.moveTo(first, 'CANCELED');
    await expect(line.runTicket(instance)).resolves.toMatchObject({ id: second });
    const { task, leftBehind } = await instance.turns.take(await line.ticket());
    expect([task, leftBehind]).toEqual([undefined, undefined]);
  });

  test('sends nothing that is overdue', async () => {
    const [first, second] = await line.queueMany(2, asker);
    await line.sql.query(`UPDATE tasks SET deadline_at = now() WHERE id = $1`, [first]);
    await expect(line.runTicket(instance)).resolves.toMatchObject({ id: second });
    await expect(line.runTicket(instance)).resolves.toBeNull();
    await expect(line.statuses([first ?? ''])).resolves.toEqual(['QUEUED']);
  });

  test('sends nothing before its time, and then at its place in its line', async () => {
    const [first = '', second, third] = await line.queueMany(3, asker);
    const task = await next();
    expect(task.id).toBe(first);
    await instance.tasks.putBack(task, new Date(Date.now() + 60_000), rejected(task));
    await expect(line.runTicket(instance)).resolves.toMatchObject({ id: second });
    await line.tickets.letTimePass();
    await expect(line.runTicket(instance)).resolves.toMatchObject({ id: first, attempts: 2 });
    await expect(line.runTicket(instance)).resolves.toMatchObject({ id: third });
  });

  test('puts its task back once: not when that is said again while the next attempt is sent', async () => {
    const [id = ''] = await line.queueMany(1, asker);
    const task = await next();
    await instance.tasks.putBack(task, new Date(), rejected(task));
    await line.tickets.letTimePass();
    await expect(next()).resolves.toMatchObject({ id, attempts: 2 });
    await instance.tasks.putBack(task, new Date(), rejected(task));
    await expect(line.statuses([id])).resolves.toEqual(['SUBMITTING']);
    await expect(line.tickets.take(0)).resolves.toBeNull();
  });

  test('whose run died while it was sending finds that task, and sends neither it nor another one', async () => {
    const [first, second] = await line.queueMany(2, asker);
    const ticket = await line.ticket();
    await instance.turns.take(ticket);
    await line.tickets.handBack(ticket);
    const again = await line.ticket();
    expect(again).toMatchObject({ id: ticket.id, attempt: 2 });
    await expect(line.instance().turns.take(again)).resolves.toEqual({ leftBehind: first });
    await expect(line.statuses([first ?? '', second ?? ''])).resolves.toEqual(['SUBMITTING', 'QUEUED']);
  });

  test('whose run died before it took a turn takes the next one', async () => {
    const [first] = await line.queueMany(1, asker);
    await line.tickets.handBack(await line.ticket());
    await expect(line.runTicket(instance)).resolves.toMatchObject({ id: first });
  });

  test('of the version before, which was sending its own task when it died, finds that task', async () => {
    const [first = '', second] = await line.queueMany(2, asker);
    const ticket = await line.ticket();
    expect(ticket.taskId).toBe(first);
    await instance.tasks.moveTo(first, 'SUBMITTING', { submissionId: newId() });
    await expect(instance.turns.take(ticket)).resolves.toEqual({ leftBehind: first });
    await expect(line.statuses([second ?? ''])).resolves.toEqual(['QUEUED']);
  });

  test('does not touch what another ticket is sending', async () => {
    const [first] = await line.queueMany(2, asker);
    const [one, other] = [await line.ticket(), await line.ticket()];
    await instance.turns.take(one);
    expect(one.taskId).toBe(first);
    const { task, leftBehind } = await instance.turns.take({ ...other, taskId: one.taskId });
    expect(leftBehind).toBeUndefined();
    expect(task?.id).not.toBe(first);
  });

  test('that was given to another run does nothing for the first one, which throws', async () => {
    const [first, second] = await line.queueMany(2, asker);
    const before = await line.ticket();
    await line.tickets.handBack(before);
    const after = await line.ticket();
    await expect(instance.turns.take(before)).rejects.toMatchObject(isTaken);
    await expect(instance.turns.take(after)).resolves.toMatchObject({ task: { id: first } });
    await expect(instance.turns.take(before)).rejects.toMatchObject(isTaken);
    await expect(line.statuses([first ?? '', second ?? ''])).resolves.toEqual(['SUBMITTING', 'QUEUED']);
  });

  test('that two runs of it ask about at once gives each of the others a task of its own', async () => {
    const ids = await line.queueMany(4, asker);
    const before = await line.ticket();
    await line.tickets.handBack(before);
    const asked = [before, await line.ticket(), await line.ticket(), await line.ticket()];
    const turns = await instance.tasks.claimTurns(
      asked.map((ticket) => ({ ...ticket, submissionId: newId() })),
    );
    const told = turns.map((turn) => (turn.turn === 'NEXT' ? turn.task?.id : turn.turn));
    expect(told).toEqual(['TAKEN', ...ids.slice(0, 3)]);
  });

  test('that the queue does not have any more sends nothing', async () => {
    const [first] = await line.queueMany(1, asker);
    const ticket = await line.ticket();
    await line.tickets.complete(ticket);
    await expect(instance.turns.take(ticket)).resolves.toEqual({});
    await expect(line.statuses([first ?? ''])).resolves.toEqual(['QUEUED']);
  });
});

describe('a ticket that is exchanged', () => {
  test('is followed by one that is due later, and sends a task as well', async () => {
    const [first] = await line.queueMany(1, asker);
    const ticket = await line.ticket();
    const later = new Date(Date.now() + 60_000);
    await expect(instance.tasks.exchangeTicket(ticket, later)).resolves.toBe(true);
    await line.tickets.complete(ticket);
    await expect(line.tickets.take(0)).resolves.toBeNull();
    await line.tickets.letTimePass();
    await expect(line.runTicket(instance)).resolves.toMatchObject({ id: first });
  });

  test('while another run has it is not doubled', async () => {
    await line.queueMany(1, asker);
    const ticket = await line.ticket();
    await line.tickets.handBack(ticket);
    await line.ticket();
    await expect(instance.tasks.exchangeTicket(ticket, new Date())).resolves.toBe(false);
    await expect(line.tickets.take(0)).resolves.toBeNull();
  });
});

describe('when Postgres goes away before it has answered', () => {
  test('a claim that was committed is found again, and its task is sent', async () => {
    const [first, second] = await line.queueMany(2, asker);
    const cut = line.instance();
    interceptClaim(cut, async (run) => {
      await run();
      throw new DatabaseUnavailable(new Error('cut'));
    });
    await expect(cut.turns.take(await line.ticket())).resolves.toMatchObject({ task: { id: first } });
    await expect(line.statuses([first ?? '', second ?? ''])).resolves.toEqual(['SUBMITTING', 'QUEUED']);
  });

  test('a claim that is carried out after all, and later, takes no second task', async () => {
    const [first, second] = await line.queueMany(2, asker);
    const cut = line.instance();
    let late: (() => Promise<unknown>) | undefined;
    interceptClaim(cut, (run) => {
      late = run;
      return Promise.reject(new DatabaseUnavailable(new Error('cut')));
    });
    await expect(cut.turns.take(await line.ticket())).resolves.toMatchObject({ task: { id: first } });
    await late?.();
    await expect(line.statuses([first ?? '', second ?? ''])).resolves.toEqual(['SUBMITTING', 'QUEUED']);
  });

  test('everybody who asked in the same statement asks again', async () => {
    const ids = await line.queueMany(10, asker);
    const cut = line.instance();
    interceptClaim(cut, async (run) => {
      await run();
      throw new DatabaseUnavailable(new Error('cut'));
    });
    const tickets: Ticket[] = [];
    while (tickets.length < ids.length) tickets.push(await line.ticket());
    const taken = await Promise.all(tickets.map((ticket) => cut.turns.take(ticket)));
    expect(taken.map(({ task }) => task?.id).sort()).toEqual([...ids].sort());
  });
});

describe('a turn', () => {
  test('that was asked for while another instance holds the lock sees what was queued meanwhile', async () => {
    const client = await line.sql.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT FROM turn_head FOR UPDATE');
      const elsewhere = await line.queue(asker);
      const taken = instance.turns.take(await line.ticket());
      await waitFor('the claim to wait', async () => {
        const { rows } = await line.sql.query(
          `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
        );
        return rows.length > 0;
      });
      await instance.tasks.moveTo(elsewhere, 'CANCELED');
      const id = await line.queue({ workspaceId: newId() });
      await client.query('COMMIT');
      await expect(taken).resolves.toMatchObject({ task: { id } });
    } finally {
      client.release();
    }
  });
});
