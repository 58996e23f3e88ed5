import { DatabaseUnavailable } from '../../core/errors.js';
import { type Task } from '../../core/tasks/task.js';
import { retryUntilDatabaseReturns } from '../../db/postgres/database-retry.js';
import { type Spool } from '../../storage/spool.js';
import { type Dependencies } from '../dependencies.js';
import { type Results, type SubmitResponse } from './results.js';

/** A reply and the attempt that it answers. */
interface PaidReply {
  task: Pick<Task, 'id' | 'attempts'>;
  result: SubmitResponse;
}

/**
 * Applies replies to submissions. The upstream bills what it has accepted, and only its reply has the ID that finds the result.
 * So while PostgreSQL is unavailable, a reply waits on the disk of this instance, and is applied when PostgreSQL returns, or at
 * the next start.
 */
export class PaidReplies {
  constructor(private readonly deps: Pick<Dependencies, 'log'> & { results: Results; spool: Spool }) {}

  /** Resolves when the reply is applied. Waits for PostgreSQL for as long as the process lives. */
  async apply({ id, attempts }: Task, result: SubmitResponse): Promise<void> {
    const reply: PaidReply = { task: { id, attempts }, result };
    try {
      await this.applyNow(reply);
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable)) throw error;
      const name = `${id}-${attempts}`;
      let isSpooled = false;
      try {
        await this.deps.spool.write(name, reply);
        isSpooled = true;
        this.deps.log.warn({ taskId: id }, 'PostgreSQL is unavailable; a paid reply waits in the spool');
      } catch (spoolError) {
        // The disk that is full for PostgreSQL may be this one. The reply still waits for as long as the process lives.
        this.deps.log.error(
          { err: spoolError, taskId: id },
          'a paid reply could not be written to the spool',
        );
      }
      await retryUntilDatabaseReturns(() => this.applyNow(reply), this.deps.log, Infinity);
      if (isSpooled) await this.deps.spool.remove(name);
    }
  }

  /** Applies the replies that an earlier process left in the spool. A file that cannot be read stays, and is logged. */
  async applySpooled(): Promise<void> {
    const { spool, log } = this.deps;
    for (const name of await spool.list()) {
      try {
        const reply = (await spool.read(name)) as PaidReply;
        await this.applyNow(reply);
        await spool.remove(name);
        log.warn(
          { taskId: reply.task.id },
          'applied a paid reply that an earlier process had left in the spool',
        );
      } catch (error) {
        log.error(
          { err: error, name },
          'a paid reply in the spool could not be applied; it is tried again at the next start',
        );
      }
    }
  }

  private applyNow({ task, result }: PaidReply): Promise<void> {
    return this.deps.results.applySubmitResponse(task, result);
  }
}
