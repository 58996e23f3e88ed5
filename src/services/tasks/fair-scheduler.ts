import { type Logger } from 'pino';
import { newId } from '../../core/primitives/ids.js';
import { type Ticket } from '../../core/jobs.js';
import { type Task } from '../../core/tasks/task.js';
import { type ClaimedTurn, type Tasks, type TurnAsked } from '../../db/tasks/task-repository.js';
import { persistently } from '../database-retry.js';

/** What a run of a ticket comes to. Neither: there was nothing to be sent. */
export interface Turn {
  /** To be sent now, by this run and nobody else. */
  task?: Task;
  /** The id of a task that an earlier run of this ticket was sending when it ended. */
  leftBehind?: string;
}

interface Waiting {
  asked: TurnAsked;
  answer: (turn: ClaimedTurn) => void;
  fail: (error: unknown) => void;
}

/**
 * Finds, for each run of a ticket, the task whose turn it is, and makes it SUBMITTING for this run.
 *
 *   NEXT, and the task moved  -> send it
 *   NEXT, and it did not      -> somebody else moved it just now: ask again
 *   AGAIN                     -> ask again
 *   HELD by this very run     -> Postgres went away before it had answered, and the commit had happened: send it
 *   HELD by another           -> an earlier run, which ended while it was sending: never send it again
 *   TAKEN                     -> this run was taken for dead, and another has its ticket: throw
 *
 * The ticket is asked about before a task is picked, under the same lock: however often an answer is lost, and however
 * late a statement that was given up for lost is carried out after all, a ticket holds one task. TAKEN must throw: a run
 * that returns takes its ticket out of the queue, also from under another run.
 *
 * Instances wait for each other with this, so each asks in one statement at a time, for all who wait here meanwhile: the
 * more there is to do, the less it costs. With a statement for each, 48 slots that were free at once waited in a row.
 */
export class TakingTurns {
  private waiting: Waiting[] = [];
  private isAsking = false;

  constructor(
    private readonly tasks: Tasks,
    private readonly log: Logger,
  ) {}

  /** Waits, and tries again, while Postgres is away; then throws DatabaseUnavailable. */
  take(ticket: Ticket): Promise<Turn> {
    const asked = { ...ticket, submissionId: newId() };
    return persistently(async () => {
      for (;;) {
        const turn = await this.ask(asked);
        if (turn.turn === 'NOTHING') return {};
        if (turn.turn === 'TAKEN') throw new Error('The queue has given this ticket to another run.');
        if (turn.turn === 'NEXT' && turn.task) return { task: turn.task };
        if (turn.turn !== 'HELD') continue;
        const task = await this.tasks.findSubmission(turn.taskId, asked.submissionId);
        return task ? { task } : { leftBehind: turn.taskId };
      }
    }, this.log);
  }

  private ask(asked: TurnAsked): Promise<ClaimedTurn> {
    return new Promise((answer, fail) => {
      this.waiting.push({ asked, answer, fail });
      if (!this.isAsking) void this.askForAll();
    });
  }

  private async askForAll(): Promise<void> {
    this.isAsking = true;
    while (this.waiting.length > 0) {
      const all = this.waiting.splice(0);
      try {
        const turns = await this.tasks.claimTurns(all.map(({ asked }) => asked));
        for (const [index, { answer }] of all.entries()) answer(turns[index] as ClaimedTurn);
      } catch (error) {
        for (const { fail } of all) fail(error);
      }
    }
    this.isAsking = false;
  }
}
