import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from '@jest/globals';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** More than the sum of its phases: 15 s of load, 45 s until the last deadline, and starting four processes from source. */
const TIMEOUT_MS = 480_000;

let chaos: ChildProcess | undefined;

afterEach(async () => {
  if (!chaos || chaos.exitCode !== null || chaos.signalCode !== null) return;
  const exited = once(chaos, 'exit');
  chaos.kill('SIGTERM');
  await exited;
});

test(
  'the chaos benchmark finds no broken promise while instances, PostgreSQL, the upstream and the network fail',
  async () => {
    const options = ['--seconds', '15', '--rate', '4', '--seed', '20260701', '--store', 'disk'];
    chaos = spawn(
      process.execPath,
      ['--import', './test/support/setup/typescript.mjs', 'bench/chaos.ts', ...options],
      {
        cwd: ROOT,
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    if (!chaos.stdout) throw new Error('The chaos process has no standard output.');
    const lines: string[] = [];
    for await (const line of createInterface(chaos.stdout)) lines.push(line);
    const outcome: unknown = JSON.parse(lines.at(-1) ?? '');

    try {
      expect(outcome).toMatchObject({
        ...{ bench: 'chaos', seed: 20260701, lost: 0, paidTwice: 0, doubleEnds: 0, imagesMissing: 0 },
        ...{ acknowledged: 60, ended: 60, logFaults: 0, keyFaults: 0, ledgerDrift: 0, deliveryFaults: 0 },
      });
      expect(outcome).toHaveProperty('faults', expect.any(Number));
    } catch (error) {
      console.error(lines.join('\n'));
      throw error;
    }
  },
  TIMEOUT_MS,
);
