import { type Caller, SCOPES } from '../../../src/core/access/caller.js';
import { newId } from '../../../src/core/primitives/ids.js';

/** Somebody with a key that may do everything, but for what the test says. */
export function callerWith(facts: Partial<Caller> = {}): Caller {
  return {
    workspaceId: newId(),
    workspaceName: 'w',
    credential: 'KEY',
    keyId: newId(),
    keyName: 'k',
    keyPrefix: 'dk_',
    scopes: SCOPES,
    limits: {},
    token: null,
    endUserId: null,
    taskIds: null,
    expiresAt: null,
    source: null,
    ...facts,
  };
}
