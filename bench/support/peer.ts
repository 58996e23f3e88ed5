import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type RegisterRelease } from './releases.js';

const PEERS = fileURLToPath(new URL('../../../bench/peers/', import.meta.url));
const START_TIMEOUT_MS = 60_000;

/** The Node.js that peers need, and with which Darkroom runs beside them. Throws when `npm run peers:install` has not run. */
export function peersNode(): string {
  const [platform, executable] =
    process.platform === 'win32' ? ['win', 'node.exe'] : [process.platform, 'node'];
  const path = `${PEERS}node_modules/node-${platform}-${process.arch}/bin/${executable}`;
  if (!existsSync(path)) throw new Error('The peers are not installed. Run: npm run peers:install');
  return path;
}

/** Starts a program of bench/peers on a database. Returns its URL. */
export async function startPeer(
  program: string,
  databaseUrl: string,
  release: RegisterRelease,
): Promise<string> {
  const child = spawn(peersNode(), [PEERS + program], {
    env: {
      PATH: process.env['PATH'],
      DATABASE_URL: databaseUrl,
      NODE_ENV: 'production',
      GRAPHILE_ENV: 'production',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  release(async () => {
    child.kill('SIGTERM');
    await exited;
  });
  const timer = new AbortController();
  const started = once(createInterface(child.stdout), 'line').then(
    ([line]) => (JSON.parse(String(line)) as { url: string }).url,
  );
  const failed = Promise.race([
    exited.then(() => 'exited'),
    once(AbortSignal.timeout(START_TIMEOUT_MS), 'abort', timer).then(() => 'did not start in time'),
  ]).then((what) => Promise.reject(new Error(`The peer ${program} ${what}.`)));
  failed.catch(() => undefined); // an exit after the start is not an error
  return Promise.race([started, failed]).finally(() => timer.abort());
}
