import { type Caller, SCOPES } from '../../../src/core/access/caller.js';
import { newId } from '../../../src/core/primitives/ids.js';

/** A caller with an API key that has every scope, changed by `overrides`. */
export function callerWith(overrides: Partial<Caller> = {}): Caller {
  const keyId = overrides.keyId ?? newId();
  return {
    workspaceId: newId(),
    workspaceName: 'w',
    credentialType: 'API_KEY',
    keyId,
    keyLineageId: keyId,
    keyName: 'k',
    keyPrefix: 'dk_',
    scopes: SCOPES,
    limits: {},
    clientToken: null,
    endUserId: null,
    taskIds: null,
    expiresAt: null,
    clientAddress: null,
    ...overrides,
  };
}
