import { newAuditEntry } from '../../core/access/audit-entry.js';
import { type Callback, wasResultApplied } from '../../core/callbacks/callback.js';
import { type Caller } from '../../core/access/caller.js';
import { InputRejected } from '../../core/errors.js';
import { isId } from '../../core/primitives/ids.js';
import { type AuditRepository } from '../../db/access/audit-repository.js';
import { type CallbackFilter, type CallbackRepository } from '../../db/callbacks/callback-repository.js';
import { type Generation } from '../tasks/generation.js';
import { invalidCursor, type Page, toPage, validatePageSize } from '../pagination.js';

export type { CallbackFilter };

/** The rows of one DELETE statement. The job repeats it until none is left. */
const DELETE_BATCH_SIZE = 1_000;
const DAY_MS = 24 * 3_600 * 1_000;

/** Stores the upstream's callbacks with the verdict on each, and replays them. */
export class CallbackInbox {
  constructor(
    private readonly callbacks: CallbackRepository,
    private readonly generation: Generation,
    private readonly retentionDays: number,
    private readonly auditLog: AuditRepository,
  ) {}

  /** Returns a page of the callbacks visible to the caller, newest first. Throws BadRequest for an invalid page size or cursor. */
  async page(
    caller: Caller,
    filter: CallbackFilter,
    first: number,
    after: string | null,
  ): Promise<Page<Callback>> {
    validatePageSize(first);
    if (after !== null && !isId(after)) throw invalidCursor();
    if (filter.taskId && !isId(filter.taskId)) return toPage([], first, after !== null, () => '');
    const rows = await this.callbacks.page(caller, filter, after, first + 1);
    return toPage(rows, first, after !== null, (callback) => callback.id);
  }

  /** Processes a stored callback again. Does nothing when its result was applied already. Throws InputRejected NOT_FOUND. */
  async replay(caller: Caller, id: string): Promise<Callback> {
    const callback = await this.find(caller, id);
    if (wasResultApplied(callback.verdict)) return callback;
    // The audit entry is committed first. A crash in between leaves an entry without a replay, never the reverse.
    await this.auditLog.insert(newAuditEntry(caller, 'CALLBACK_REPLAYED', id, { taskId: callback.taskId }));
    await this.generation.receiveCallback(callback.taskId, callback);
    return this.find(caller, id);
  }

  /** Deletes callbacks that are older than the retention period. */
  async deleteOld(): Promise<void> {
    const oldest = new Date(Date.now() - this.retentionDays * DAY_MS);
    while ((await this.callbacks.deleteBefore(oldest, DELETE_BATCH_SIZE)) === DELETE_BATCH_SIZE);
  }

  private async find(caller: Caller, id: string): Promise<Callback> {
    const callback = isId(id) ? await this.callbacks.find(caller, id) : null;
    if (callback) return callback;
    const message = 'No callback with this ID in your workspace.';
    throw new InputRejected([{ code: 'NOT_FOUND', message, field: ['input', 'id'] }]);
  }
}
