import type { ChildProcess } from 'node:child_process';

/** Runs once, after the last test file. Ends the PostgreSQL of global-setup.ts and waits until it has ended. */
export default async function globalTeardown(): Promise<void> {
  const { darkroomTestPostgres: child } = globalThis as { darkroomTestPostgres?: ChildProcess };
  if (!child || child.exitCode !== null) return;
  const ended = new Promise((done) => child.once('exit', done));
  child.stdin?.end();
  await ended;
}
