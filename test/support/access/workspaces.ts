import { hashApiKey, generateApiKey } from '../../../src/core/access/api-key.js';
import { SCOPES, type Scope } from '../../../src/core/access/caller.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Limits } from '../../../src/core/limits/limits.js';
import { type TestApp } from '../app/test-app.js';

/** Inserts a workspace and returns an API key for it. */
export async function addWorkspaceWithKey(app: TestApp, scopes: readonly Scope[] = SCOPES): Promise<string> {
  const workspaceId = newId();
  await app.rows("INSERT INTO workspaces (id, name) VALUES ($1, 'another')", [workspaceId]);
  return addKey(app, workspaceId, scopes);
}

/** Inserts another API key for a workspace and returns it. */
export async function addKey(
  app: TestApp,
  workspaceId: string,
  scopes: readonly Scope[],
  limits: Limits = {},
): Promise<string> {
  const key = generateApiKey();
  await app.rows(
    "INSERT INTO api_keys (id, lineage_id, workspace_id, name, prefix, hash, scopes, limits) VALUES ($1, $1, $2, 'added', $3, $4, $5, $6)",
    [newId(), workspaceId, key.slice(0, 9), hashApiKey(key), scopes, limits],
  );
  return key;
}
