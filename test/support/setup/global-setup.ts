import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Config } from 'jest';

/**
 * Runs once, before the first test file. Starts a PostgreSQL with the migrated template database. It belongs to a child process
 * (test-postgres.ts) that ends it when its standard input closes, which happens however this process ends, even by SIGKILL.
 * Jest loads this file as CommonJS, so it imports no file of the project.
 */
export default async function globalSetup(
  _global: unknown,
  project: Config & { rootDir: string },
): Promise<void> {
  const setup = join(project.rootDir, 'test', 'support', 'setup');
  const child = spawn(
    process.execPath,
    ['--import', pathToFileURL(join(setup, 'typescript.mjs')).href, join(setup, 'test-postgres.ts')],
    // Detached: Ctrl-C in a terminal must not reach it before the tests that use it.
    { cwd: project.rootDir, detached: true, stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const lines = createInterface(child.stdout);
  const ended = once(child, 'exit').then(() => {
    throw new Error('The Postgres for the tests did not start; the reason is above.');
  });
  const [adminUrl] = (await Promise.race([once(lines, 'line'), ended])) as [string];
  ended.catch(() => undefined);
  process.env['DARKROOM_TEST_ADMIN_URL'] = adminUrl;
  // What the tests' own connections rely on, on a server with other defaults. Those of the service bring their own settings.
  process.env['PGOPTIONS'] = '-c datestyle=ISO -c default_transaction_isolation=read\\ committed';
  Object.assign(globalThis, { darkroomTestPostgres: child });
}
