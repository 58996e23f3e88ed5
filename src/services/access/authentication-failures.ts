import { type Logger } from 'pino';
import { type NewAuditEntry, SYSTEM_ACTORS } from '../../core/access/audit-entry.js';
import { newId } from '../../core/primitives/ids.js';
import { type AuditRepository } from '../../db/access/audit-repository.js';

/** Why authentication failed. Failures with a known key are recorded in its workspace, others in none. */
export type AuthenticationFailure =
  'MALFORMED' | 'UNKNOWN_KEY' | 'REVOKED_KEY' | 'EXPIRED_KEY' | 'TOKEN_INVALID';

/** The API key that was used, when it is known. */
export interface FailedKey {
  id: string;
  workspaceId: string;
  name: string;
}

/** A client that guesses keys causes one entry in this time. */
const WINDOW_MS = 60_000;
/** Bounds memory and entries. Beyond it, failures from new addresses share one entry. */
const MAX_TRACKED_ENTRIES = 1_000;

/** Counts failed authentications. Each instance writes at most one audit entry a minute for each address, kind and key. */
export class AuthenticationFailures {
  private pending = new Map<string, { entry: NewAuditEntry; count: number; kind: AuthenticationFailure }>();
  private timer: NodeJS.Timeout | null = null;
  private pendingWrite: Promise<void> = Promise.resolve();

  constructor(
    private readonly auditLog: AuditRepository,
    private readonly log: Logger,
    private readonly windowMs = WINDOW_MS,
  ) {}

  count(kind: AuthenticationFailure, clientAddress: string | null, key: FailedKey | null = null): void {
    const trackedAddress = this.pending.size < MAX_TRACKED_ENTRIES ? clientAddress : null;
    const entryKey = JSON.stringify([kind, trackedAddress, key?.id]);
    const known = this.pending.get(entryKey);
    if (known) known.count += 1;
    else this.pending.set(entryKey, { entry: auditEntryOf(trackedAddress, key), count: 1, kind });
    this.timer ??= setTimeout(() => void this.flush(), this.windowMs).unref();
  }

  /** Writes the pending counts. */
  async stop(): Promise<void> {
    await this.flush();
  }

  private flush(): Promise<void> {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    const entries = [...this.pending.values()].map(({ entry, count, kind }) => ({
      ...entry,
      data: { kind, count },
    }));
    this.pending = new Map();
    this.pendingWrite = this.pendingWrite
      .then(() => this.auditLog.insert(...entries))
      .catch((error: unknown) =>
        this.log.warn({ err: error, count: entries.length }, 'failed to record failed authentications'),
      );
    return this.pendingWrite;
  }
}

function auditEntryOf(clientAddress: string | null, key: FailedKey | null): NewAuditEntry {
  return {
    id: newId(),
    workspaceId: key?.workspaceId ?? null,
    action: 'AUTHENTICATION_FAILED',
    actor: key?.name ?? SYSTEM_ACTORS.anonymous,
    keyId: key?.id ?? null,
    endUserId: null,
    clientAddress,
    targetId: null,
    data: {},
  };
}
