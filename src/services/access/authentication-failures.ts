import { type NewAuditEntry, SYSTEM_ACTORS } from '../../core/access/audit-entry.js';
import { BatchedWriter } from '../../core/primitives/batched-writer.js';
import { newId } from '../../core/primitives/ids.js';
import { type ApiKey } from '../../db/access/api-key-repository.js';
import { type Dependencies } from '../dependencies.js';

/** Why authentication failed. Failures with a known key are recorded in its workspace, others in none. */
export type AuthenticationFailure =
  'MALFORMED' | 'UNKNOWN_KEY' | 'REVOKED_KEY' | 'EXPIRED_KEY' | 'TOKEN_INVALID';

type FailedKey = Pick<ApiKey, 'id' | 'workspaceId' | 'name'>;

/** A client that guesses keys causes one entry in this time. */
const WINDOW_MS = 60_000;
/** Bounds memory and entries. Beyond it, failures from new addresses share one entry. */
const MAX_TRACKED_ENTRIES = 1_000;
/** Only failures with known keys and the shared entries exceed MAX_TRACKED_ENTRIES. With this many, they are written early. */
const MAX_BATCH_SIZE = 2 * MAX_TRACKED_ENTRIES;

/** Counts failed authentications. Each instance writes at most one audit entry a minute for each address, kind and key. */
export class AuthenticationFailures {
  private readonly writer: BatchedWriter<FailureEntry>;

  /** `windowMs` is the shortest time between two entries for the same failures. */
  constructor({
    auditLog,
    log,
    windowMs = WINDOW_MS,
  }: Pick<Dependencies, 'auditLog' | 'log'> & { windowMs?: number }) {
    this.writer = new BatchedWriter({
      delayMs: windowMs,
      maxItems: MAX_BATCH_SIZE,
      write: (entries) => auditLog.insert(...entries),
      onError: (error, { length: count }) =>
        log.warn({ err: error, count }, 'failed to record failed authentications'),
    });
  }

  /** `key` is the API key that was used, when it is known. */
  count(kind: AuthenticationFailure, clientAddress: string | null, key: FailedKey | null = null): void {
    const trackedAddress = this.writer.size < MAX_TRACKED_ENTRIES ? clientAddress : null;
    const entryKey = JSON.stringify([kind, trackedAddress, key?.id]);
    const entry = this.writer.get(entryKey) ?? newEntry(kind, trackedAddress, key);
    entry.data.count += 1;
    this.writer.add(entryKey, entry);
  }

  /** Writes the pending counts. */
  async stop(): Promise<void> {
    await this.writer.flush();
  }
}

type FailureEntry = ReturnType<typeof newEntry>;

function newEntry(kind: AuthenticationFailure, clientAddress: string | null, key: FailedKey | null) {
  return {
    id: newId(),
    workspaceId: key?.workspaceId ?? null,
    action: 'AUTHENTICATION_FAILED',
    actor: key?.name ?? SYSTEM_ACTORS.anonymous,
    keyId: key?.id ?? null,
    endUserId: null,
    clientAddress,
    targetId: null,
    data: { kind, count: 0 },
  } satisfies NewAuditEntry;
}
