import { auditEntry } from '../../core/access/audit-entry.js';
import { type Callback, wasTaken } from '../../core/callbacks/callback.js';
import { type Caller } from '../../core/access/caller.js';
import { BadRequest, InputRejected } from '../../core/errors.js';
import { isId } from '../../core/primitives/ids.js';
import { type AuditLog } from '../../db/access/audit-repository.js';
import { type CallbackFilter, type Callbacks } from '../../db/callbacks/callback-repository.js';
import { type Generation } from '../tasks/generation.js';
import { checkPageSize, type Page, toPage } from '../pagination.js';

export type { CallbackFilter };

/** Deleted by one statement; the job goes on until none is left. */
const FORGET_BATCH = 1_000;
const DAY_MS = 24 * 3_600 * 1_000;

/** What the upstream sent us, with what we made of it. */
export class CallbackInbox {
  constructor(
    private readonly callbacks: Callbacks,
    private readonly generation: Generation,
    private readonly retentionDays: number,
    private readonly auditLog: AuditLog,
  ) {}

  /** A page of the caller's callbacks, newest first. Throws BadRequest for a size or a cursor that cannot be. */
  async page(
    caller: Caller,
    filter: CallbackFilter,
    first: number,
    after: string | null,
  ): Promise<Page<Callback>> {
    checkPageSize(first);
    if (after !== null && !isId(after)) throw new BadRequest('`after` is not a cursor of this list.');
    if (filter.taskId && !isId(filter.taskId)) return toPage([], first, after !== null, () => '');
    const rows = await this.callbacks.page(caller, filter, after, first + 1);
    return toPage(rows, first, after !== null, (callback) => callback.id);
  }

  /** Takes a kept callback as if it came now. Does nothing when its result is in already. Throws InputRejected NOT_FOUND. */
  async replay(caller: Caller, id: string): Promise<Callback> {
    const callback = await this.find(caller, id);
    if (wasTaken(callback.verdict)) return callback;
    // Before it is done, in a commit of its own: a crash in between may leave it told and not done, but not done and untold.
    await this.auditLog.insert(auditEntry(caller, 'CALLBACK_REPLAYED', id, { taskId: callback.taskId }));
    await this.generation.receive(callback.taskId, callback);
    return this.find(caller, id);
  }

  /** Deletes what is older than the retention. */
  async forgetOld(): Promise<void> {
    const oldest = new Date(Date.now() - this.retentionDays * DAY_MS);
    while ((await this.callbacks.forgetBefore(oldest, FORGET_BATCH)) === FORGET_BATCH);
  }

  private async find(caller: Caller, id: string): Promise<Callback> {
    const callback = isId(id) ? await this.callbacks.find(caller, id) : null;
    if (callback) return callback;
    const message = 'There is no callback with this id in your workspace.';
    throw new InputRejected([{ code: 'NOT_FOUND', message, field: ['input', 'id'] }]);
  }
}
