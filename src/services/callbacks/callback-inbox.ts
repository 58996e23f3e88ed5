import { databaseTimeMs, DAY_MS } from '../../core/primitives/clock.js';
import { newAuditEntry } from '../../core/access/audit-entry.js';
import { type Callback, wasResultApplied } from '../../core/callbacks/callback.js';
import { type Caller } from '../../core/access/caller.js';
import { InputRejected } from '../../core/errors.js';
import { deleteInBatches } from '../../core/primitives/delete-in-batches.js';
import { isId } from '../../core/primitives/ids.js';
import { type CallbackFilter } from '../../db/callbacks/callback-repository.js';
import { type Generation } from '../tasks/generation.js';
import { BY_ID } from '../pagination/page-cursors.js';
import { type Page, type PageRequest, readPage } from '../pagination/read-page.js';
import { type Dependencies } from '../dependencies.js';

export type { CallbackFilter };

export interface CallbackInboxDependencies extends Pick<Dependencies, 'auditLog' | 'callbacks'> {
  generation: Generation;
  retentionDays: number;
}

/** Lists the stored upstream callbacks, replays one, and deletes old ones. */
export class CallbackInbox {
  constructor(private readonly deps: CallbackInboxDependencies) {}

  /** Returns a page of the callbacks visible to the caller, newest first. Throws BadRequest for an invalid page size or cursor. */
  page(caller: Caller, filter: CallbackFilter, page: PageRequest): Promise<Page<Callback>> {
    const isAlwaysEmpty = filter.taskId && !isId(filter.taskId);
    return readPage(page, BY_ID, (before, limit) =>
      isAlwaysEmpty ? [] : this.deps.callbacks.page(caller, filter, { before, limit }),
    );
  }

  /** Processes a stored callback again. Does nothing when its result was applied already. Throws InputRejected NOT_FOUND. */
  async replay(caller: Caller, id: string): Promise<Callback> {
    const callback = await this.find(caller, id);
    if (wasResultApplied(callback.verdict)) return callback;
    // The audit entry is committed first. A crash in between leaves an entry without a replay, never the reverse.
    await this.deps.auditLog.insert(
      newAuditEntry(caller, 'CALLBACK_REPLAYED', { targetId: id, data: { taskId: callback.taskId } }),
    );
    await this.deps.generation.receiveCallback(callback.taskId, callback);
    return this.find(caller, id);
  }

  /** Deletes callbacks that are older than the retention period. `signal` ends the run between two batches. */
  async deleteOld(signal?: AbortSignal): Promise<void> {
    const oldest = new Date(databaseTimeMs() - this.deps.retentionDays * DAY_MS);
    await deleteInBatches((limit) => this.deps.callbacks.deleteBefore(oldest, limit), signal);
  }

  private async find(caller: Caller, id: string): Promise<Callback> {
    const callback = isId(id) ? await this.deps.callbacks.find(caller, id) : null;
    if (callback) return callback;
    throw InputRejected.argument('NOT_FOUND', 'id', 'No callback with this ID in your workspace.');
  }
}
