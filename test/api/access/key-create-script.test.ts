import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';
import { answerOf } from '../../support/app/graphql-request.js';
import { addWorkspace } from '../../support/access/workspaces.js';
import {
  AUDIT_LOG,
  type AuditView,
  type PageOf,
  VIEWER,
  type ViewerView,
} from '../../support/access/access-operations.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

const viewerOf = (key: string) => answerOf<ViewerView>(app, VIEWER, {}, key);

/** Runs `npm run key:create`, without its build. */
async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const program = ['--import', './test/support/setup/typescript.mjs', 'scripts/key-create.ts', ...args];
  const env = { PATH: process.env.PATH, DATABASE_URL: app.databaseUrl };
  try {
    return { code: 0, ...(await promisify(execFile)(process.execPath, program, { env })) };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
}

describe('npm run key:create', () => {
  test('prints a key to a workspace by its name, or by its id, that may do what was said', async () => {
    const own = await viewerOf(app.key);
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
    const { nodes } = await answerOf<PageOf<AuditView>>(app, AUDIT_LOG, { first: 1 });
    expect(nodes).toMatchObject([{ action: 'KEY_CREATED', actor: 'key:create', source: null }]);
  }, 120_000);

  test('makes the workspace when there is none of that name, and says so', async () => {
    const made = await run('--workspace', 'new', '--name', 'first', '--scopes', 'tasks:read');
    expect(made.stderr).toContain('it was made');
    expect(await viewerOf(made.stdout.trim())).toMatchObject({ workspaceName: 'new', keyName: 'first' });
  }, 120_000);

  test('says what is wrong, and prints no key', async () => {
    await addWorkspace(app);
    await addWorkspace(app);
    const wrong = await Promise.all([
      run('--name', 'x'),
      run('--workspace', 'default', '--name', 'x', '--scopes', 'everything'),
      run('--workspace', 'another', '--name', 'x'),
      run('--workspace', '00000000-0000-7000-8000-000000000000', '--name', 'x'),
    ]);
    for (const { code, stdout } of wrong) expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    const said = wrong.map(({ stderr }) => stderr);
    for (const [index, word] of ['Usage', 'everything', 'Several', 'There is no workspace'].entries()) {
      expect(said[index]).toContain(word);
    }
  }, 120_000);
});
