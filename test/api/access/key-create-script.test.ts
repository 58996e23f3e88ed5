import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';
import { queryField } from '../../support/app/graphql-request.js';
import { addWorkspaceWithKey } from '../../support/access/workspaces.js';
import {
  AUDIT_LOG,
  type AuditEntryFields,
  type Page,
  VIEWER,
  type ViewerFields,
} from '../../support/access/access-operations.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

const viewerOf = (key: string) => queryField<ViewerFields>(app, VIEWER, {}, key);

/** Runs the script of `npm run key:create` from its TypeScript source. */
async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const nodeArgs = ['--import', './test/support/setup/typescript.mjs', 'scripts/key-create.ts', ...args];
  const env = { PATH: process.env.PATH, DATABASE_URL: app.databaseUrl };
  try {
    return { code: 0, ...(await promisify(execFile)(process.execPath, nodeArgs, { env })) };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
}

describe('npm run key:create', () => {
  test('prints a key with the given scopes for a workspace given by name or by ID', async () => {
    const own = await viewerOf(app.apiKey);
    const byName = await run(
      '--workspace',
      'default',
      '--name',
      'rescue',
      '--scopes',
      'tasks:read,audit:read',
    );
    expect(byName).toMatchObject({ code: 0, stderr: '' });
    const viewer = await viewerOf(byName.stdout.trim());
    expect(viewer).toMatchObject({ workspaceId: own.workspaceId, keyName: 'rescue' });
    expect(viewer.scopes).toEqual(['tasks:read', 'audit:read']);

    const byId = await run('--workspace', own.workspaceId, '--name', 'everything');
    expect(await viewerOf(byId.stdout.trim())).toMatchObject({
      ...own,
      keyId: expect.any(String),
      keyName: 'everything',
    });
    const { nodes } = await queryField<Page<AuditEntryFields>>(app, AUDIT_LOG, { first: 1 });
    expect(nodes).toMatchObject([{ action: 'API_KEY_CREATED', actor: 'key:create', clientAddress: null }]);
  }, 120_000);

  test('creates the workspace if no workspace has that name, and says so', async () => {
    const created = await run('--workspace', 'new', '--name', 'first', '--scopes', 'tasks:read');
    expect(created.stderr).toContain('Created the workspace "new"');
    expect(await viewerOf(created.stdout.trim())).toMatchObject({ workspaceName: 'new', keyName: 'first' });
  }, 120_000);

  test('a wrong argument prints an error and no key, and exits with 1', async () => {
    await addWorkspaceWithKey(app);
    await addWorkspaceWithKey(app);
    const wrong = await Promise.all([
      run('--name', 'x'),
      run('--workspace', 'default', '--name', 'x', '--scopes', 'everything'),
      run('--workspace', 'another', '--name', 'x'),
      run('--workspace', '00000000-0000-7000-8000-000000000000', '--name', 'x'),
    ]);
    for (const { code, stdout } of wrong) expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    const messages = wrong.map(({ stderr }) => stderr);
    for (const [index, word] of ['Usage', 'everything', 'Several', 'No workspace has the ID'].entries()) {
      expect(messages[index]).toContain(word);
    }
  }, 120_000);
});
