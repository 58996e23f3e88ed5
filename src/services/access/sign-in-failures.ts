import { type Logger } from 'pino';
import { type NewAuditEntry, OPERATORS } from '../../core/access/audit-entry.js';
import { newId } from '../../core/primitives/ids.js';
import { type AuditLog } from '../../db/access/audit-repository.js';

/** What was wrong. What is not known to be anybody's is in nobody's workspace. */
export type SignInFailure = 'MALFORMED' | 'UNKNOWN_KEY' | 'REVOKED_KEY' | 'EXPIRED_KEY' | 'TOKEN_REFUSED';

/** Whose key it was, as far as that is known. */
export interface FailedKey {
  id: string;
  workspaceId: string;
  name: string;
}

/** Who tries keys for a minute gets one row. */
const WINDOW_MS = 60_000;
/** Sources that are told apart at the same time; whoever has more addresses than that shares a row. */
const MAX_OPEN = 1_000;

/** Counts sign-ins that failed, and writes at most one row a minute for each source, kind and key of this instance. */
export class SignInFailures {
  private open = new Map<string, { entry: NewAuditEntry; count: number; kind: SignInFailure }>();
  private timer: NodeJS.Timeout | null = null;
  private writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly auditLog: AuditLog,
    private readonly log: Logger,
    private readonly windowMs = WINDOW_MS,
  ) {}

  count(kind: SignInFailure, source: string | null, key: FailedKey | null = null): void {
    const told = this.open.size < MAX_OPEN ? source : null;
    const place = JSON.stringify([kind, told, key?.id]);
    const known = this.open.get(place);
    if (known) known.count += 1;
    else this.open.set(place, { entry: entryOf(told, key), count: 1, kind });
    this.timer ??= setTimeout(() => void this.write(), this.windowMs).unref();
  }

  /** Writes what was counted until now. */
  async stop(): Promise<void> {
    await this.write();
  }

  private write(): Promise<void> {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    const entries = [...this.open.values()].map(({ entry, count, kind }) => ({
      ...entry,
      data: { kind, count },
    }));
    this.open = new Map();
    this.writing = this.writing
      .then(() => this.auditLog.insert(...entries))
      .catch((error: unknown) =>
        this.log.warn({ err: error, count: entries.length }, 'failed sign-ins could not be written down'),
      );
    return this.writing;
  }
}

function entryOf(source: string | null, key: FailedKey | null): NewAuditEntry {
  return {
    id: newId(),
    workspaceId: key?.workspaceId ?? null,
    action: 'SIGN_IN_FAILED',
    actor: key?.name ?? OPERATORS.nobody,
    keyId: key?.id ?? null,
    endUserId: null,
    source,
    subject: null,
    data: {},
  };
}
