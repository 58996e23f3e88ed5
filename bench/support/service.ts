import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { PRODUCTION_ENVIRONMENT } from './production-environment.js';
import { type RegisterRelease } from './releases.js';

/** A running Darkroom process: the built program, as `npm start` runs it. */
export interface Service {
  /** Without a trailing slash. */
  url: string;
  /** The first API key of the database. Empty if another instance has printed it. */
  apiKey: string;
  pid: number;
}

export interface ServiceOptions {
  databaseUrl: string;
  dataDir: string;
  roles: string;
  /** In addition to the variables that every benchmark sets. */
  environment?: Record<string, string>;
  /** Another program to run instead. It must print the same startup message. */
  main?: URL;
  /** Another Node.js to run it with. */
  node?: string;
}

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));
/** Migrating an empty database takes under a second. The rest is for a busy machine. */
const START_TIMEOUT_MS = 30_000;

/** Starts Darkroom on a free loopback port. Rejects with its output when it does not start. */
export async function startService(options: ServiceOptions, release: RegisterRelease): Promise<Service> {
  const child = spawn(options.node ?? process.execPath, [options.main ? fileURLToPath(options.main) : MAIN], {
    env: {
      PATH: process.env['PATH'],
      HOST: '127.0.0.1',
      PORT: '0',
      DATABASE_URL: options.databaseUrl,
      DATA_DIR: options.dataDir,
      ROLES: options.roles,
      LOG_LEVEL: 'warn',
      NODE_ENV: 'production',
      ...PRODUCTION_ENVIRONMENT,
      ...options.environment,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  release(async () => {
    child.kill('SIGTERM');
    await exited;
  });
  const startupMessage = await readStartupOutput(child.stdout, exited);
  return { ...startupMessage, pid: child.pid ?? 0 };
}

async function readStartupOutput(
  stdout: NodeJS.ReadableStream,
  exited: Promise<unknown>,
): Promise<{ url: string; apiKey: string }> {
  let printed = '';
  const started = new Promise<{ url: string; apiKey: string }>((resolve) => {
    stdout.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
      const url = /listening at (http:\S+)\/graphql/.exec(printed)?.[1];
      const apiKey = /\b(dk_\w+)\s/.exec(printed)?.[1] ?? '';
      if (url && printed.endsWith('\n\n')) resolve({ url, apiKey });
    });
  });
  const timer = new AbortController();
  const failed = Promise.race([
    exited.then(() => 'exited'),
    once(AbortSignal.timeout(START_TIMEOUT_MS), 'abort', timer).then(() => 'was not ready in time'),
  ]).then((what) =>
    Promise.reject(new Error(`The service ${what}. Its output was:\n${printed || '(none)'}`)),
  );
  failed.catch(() => undefined); // an exit after the startup message is not an error
  return Promise.race([started, failed]).finally(() => timer.abort());
}
