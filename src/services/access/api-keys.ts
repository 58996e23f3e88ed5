import { hashApiKey, markOf, newApiKey } from '../../core/access/api-key.js';
import { auditEntry } from '../../core/access/audit-entry.js';
import { type Caller, isScope, SCOPES } from '../../core/access/caller.js';
import { BadRequest, InputRejected } from '../../core/errors.js';
import { type InputFault } from '../../core/tasks/input-fault.js';
import { isId, newId } from '../../core/primitives/ids.js';
import { givenLimits, limitFaults, type Limits } from '../../core/limits/limits.js';
import { type ApiKey, type ApiKeys } from '../../db/access/api-key-repository.js';
import { type Workspace, type Workspaces } from '../../db/access/workspace-repository.js';
import { expiryFaults, nameFaults, scopeFaults } from './validate-api-key.js';
import { checkPageSize, type Page, toPage } from '../pagination.js';

export type { ApiKey, Workspace };

/** What a caller says about a key that it wants. */
export interface KeyWish {
  name: string;
  scopes: readonly string[];
  expiresAt?: Date | null;
  limits?: Limits | null;
}

/** A key, and what its holder needs: shown this once, and kept nowhere. */
export interface MadeKey {
  apiKey: ApiKey;
  secret: string;
}

/** Long enough to bring the new secret to every place that has the old one while nobody sleeps over it. */
const DEFAULT_GRACE_SECONDS = 3_600;
const MAX_GRACE_SECONDS = 7 * 24 * 3_600;

/** Keys and workspaces, made and taken away by those who may. A key of another workspace is one that does not exist. */
export class KeyAdministration {
  constructor(
    private readonly keys: ApiKeys,
    private readonly workspaces: Workspaces,
  ) {}

  /** A page of the workspace's keys, newest first. Throws BadRequest for a size or a cursor that cannot be. */
  async page({ workspaceId }: Caller, first: number, after: string | null): Promise<Page<ApiKey>> {
    checkPageSize(first);
    if (after !== null && !isId(after)) throw new BadRequest('`after` is not a cursor of this list.');
    const rows = await this.keys.page(workspaceId, after, first + 1);
    return toPage(rows, first, after !== null, (key) => key.id);
  }

  /** A new key to the caller's workspace. Throws InputRejected with every fault. */
  async create(caller: Caller, wish: KeyWish): Promise<MadeKey> {
    refuse(wishFaults(caller, wish));
    const { key, secret } = newKey(caller.workspaceId, wish);
    const { id, name, scopes, limits, expiresAt } = key;
    const audit = auditEntry(caller, 'KEY_CREATED', id, { name, scopes, limits, expiresAt });
    return { apiKey: await this.keys.insert(key, audit), secret };
  }

  /** Ends a key; one that was revoked before stays revoked since then. Throws InputRejected NOT_FOUND. */
  async revoke(caller: Caller, id: string): Promise<{ apiKey: ApiKey }> {
    const audit = auditEntry(caller, 'KEY_REVOKED', id.toLowerCase());
    const apiKey = isId(id) ? await this.keys.revoke(caller.workspaceId, id, audit) : null;
    if (!apiKey) throw noSuchKey();
    return { apiKey };
  }

  /**
   * A new secret, as a new key of the same name, scopes, limits and end; the old one is good for `graceSeconds` more
   * (default an hour). Throws InputRejected NOT_FOUND, also for a key that is not good any more; SCOPE_NOT_HELD, because
   * the caller is shown a secret that can do what its own key cannot; INVALID_GRACE.
   */
  async rotate(caller: Caller, id: string, grace: number | null): Promise<MadeKey> {
    const graceSeconds = grace ?? DEFAULT_GRACE_SECONDS;
    if (graceSeconds < 0 || graceSeconds > MAX_GRACE_SECONDS) {
      const message = `The grace time is ${graceSeconds} seconds; give 0 to ${MAX_GRACE_SECONDS}.`;
      refuse([{ code: 'INVALID_GRACE', message, field: ['input', 'graceSeconds'] }]);
    }
    const old = isId(id) ? await this.keys.find(caller.workspaceId, id) : null;
    if (!old) throw noSuchKey();
    if (old.scopes.length > 0)
      refuse(scopeFaults(caller, old.scopes).map((fault) => ({ ...fault, field: ['input', 'id'] })));
    const secret = newApiKey();
    const successor = { id: newId(), ...markOf(secret), hash: hashApiKey(secret) };
    const data = { name: old.name, newKeyId: successor.id, graceSeconds };
    const audit = auditEntry(caller, 'KEY_ROTATED', old.id, data);
    const apiKey = await this.keys.rotate(caller.workspaceId, old.id, successor, graceSeconds, audit);
    if (!apiKey) throw noSuchKey();
    return { apiKey, secret };
  }

  /** Another workspace, and the first key to it. Throws InputRejected with every fault. */
  async createWorkspace(
    caller: Caller,
    name: string,
    scopes: readonly string[],
  ): Promise<MadeKey & { workspace: Workspace }> {
    refuse([...nameFaults(name), ...scopeFaults(caller, scopes)]);
    const workspaceId = newId();
    const { key, secret } = newKey(workspaceId, { name: 'first key', scopes });
    const made = auditEntry(caller, 'WORKSPACE_CREATED', workspaceId, { name });
    const { name: keyName } = key;
    const given = auditEntry(caller, 'KEY_CREATED', key.id, { name: keyName, scopes: key.scopes });
    const entries = [made, { ...given, workspaceId }];
    return { ...(await this.workspaces.insert({ id: workspaceId, name }, key, entries)), secret };
  }
}

function wishFaults(caller: Caller, { name, scopes, expiresAt, limits }: KeyWish): InputFault[] {
  return [
    ...nameFaults(name),
    ...scopeFaults(caller, scopes),
    ...expiryFaults(expiresAt ?? null),
    ...limitFaults(limits ?? {}),
  ];
}

function newKey(workspaceId: string, { name, scopes, expiresAt, limits }: KeyWish) {
  const secret = newApiKey();
  const key = {
    id: newId(),
    workspaceId,
    name,
    ...markOf(secret),
    hash: hashApiKey(secret),
    scopes: SCOPES.filter((scope) => scopes.filter(isScope).includes(scope)),
    limits: givenLimits(limits),
    expiresAt: expiresAt ?? null,
  };
  return { key, secret };
}

function refuse(faults: InputFault[]): void {
  if (faults.length > 0) throw new InputRejected(faults);
}

function noSuchKey(): InputRejected {
  const message = 'There is no key with this id in your workspace that is good.';
  return new InputRejected([{ code: 'NOT_FOUND', message, field: ['input', 'id'] }]);
}
