import type { ChildProcess } from 'node:child_process';

/** Once per test run, after the last test file: ends the Postgres of global-setup.ts, and waits until it is gone. */
export default async function globalTeardown(): Promise<void> {
  const { darkroomTestPostgres: child } = globalThis as { darkroomTestPostgres?: ChildProcess };
  if (!child || child.exitCode !== null) return;
  const ended = new Promise((done) => child.once('exit', done));
  child.stdin?.end();
  await ended;
}
