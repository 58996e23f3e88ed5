import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type OnRelease } from './releases.js';

/** A running Darkroom: the built program itself, as `npm start` runs it, in a process of its own. */
export interface Service {
  /** Without a slash at the end. */
  url: string;
  /** The first key of the database; empty where another instance was told it. */
  apiKey: string;
  pid: number;
}

export interface ServiceOptions {
  databaseUrl: string;
  dataDir: string;
  roles: string;
  /** Besides what every bench sets. */
  environment?: Record<string, string>;
  /** Another program than the built one, which greets as that does. */
  main?: URL;
}

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));
/** Migrating an empty database takes under a second; a busy machine is given time. */
const START_TIMEOUT_MS = 30_000;

/** Starts Darkroom on a free loopback port. Fails with what it printed when it does not come up. */
export async function startService(options: ServiceOptions, release: OnRelease): Promise<Service> {
  const child = spawn(process.execPath, [options.main ? fileURLToPath(options.main) : MAIN], {
    env: {
      PATH: process.env['PATH'],
      HOST: '127.0.0.1',
      PORT: '0',
      DATABASE_URL: options.databaseUrl,
      DATA_DIR: options.dataDir,
      ROLES: options.roles,
      LOG_LEVEL: 'warn',
      NODE_ENV: 'production',
      // As `npm start` and the container image set them.
      MALLOC_ARENA_MAX: '2',
      MALLOC_MMAP_THRESHOLD_: '1048576',
      ...options.environment,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  release(async () => {
    child.kill('SIGTERM');
    await exited;
  });
  const greeting = await readGreeting(child.stdout, exited);
  return { ...greeting, pid: child.pid ?? 0 };
}

async function readGreeting(
  stdout: NodeJS.ReadableStream,
  exited: Promise<unknown>,
): Promise<{ url: string; apiKey: string }> {
  let printed = '';
  const greeted = new Promise<{ url: string; apiKey: string }>((resolve) => {
    stdout.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
      const url = /listens at (http:\S+)\/graphql/.exec(printed)?.[1];
      const apiKey = /\b(dk_\w+)\s/.exec(printed)?.[1] ?? '';
      if (url && printed.endsWith('\n\n')) resolve({ url, apiKey });
    });
  });
  const timer = new AbortController();
  const failed = Promise.race([
    exited.then(() => 'ended'),
    once(AbortSignal.timeout(START_TIMEOUT_MS), 'abort', timer).then(() => 'was not ready in time'),
  ]).then((what) => Promise.reject(new Error(`The service ${what}. It printed:\n${printed || '(nothing)'}`)));
  failed.catch(() => undefined); // after the greeting, its end is no failure
  return Promise.race([greeted, failed]).finally(() => timer.abort());
}
