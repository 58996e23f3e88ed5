import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type CrashPoint } from '../../../src/core/primitives/crash-points.js';
import { TestApp } from '../app/test-app.js';
import { createTestDatabase, type TestDatabase } from '../setup/test-database.js';
import { waitFor } from '../wait-for.js';

/** A child process compiles the whole service, beside others that do, before it listens. */
const START_MS = 60_000;

/**
 * A service in a process of its own that dies and is started again. Its database, its data directory and its public
 * address stay; at the public address requests wait while no process listens, as they do at a load balancer.
 */
export class CrashingService {
  /** The one that runs, or the last one that did. */
  app!: TestApp;
  private child: ChildProcess | null = null;
  private died: Promise<void> = Promise.resolve();
  private url: string | null = null;
  private key = '';

  private constructor(
    private readonly database: TestDatabase,
    private readonly dataDir: string,
    private readonly front: Server,
    private readonly environment: Record<string, string>,
  ) {
    front.on('request', (request, response) => {
      void (async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        const url = await waitFor('a process that listens', () => this.url);
        const answer = await fetch(url + (request.url ?? ''), {
          method: request.method,
          body: Buffer.concat(chunks),
        });
        response.writeHead(answer.status).end(await answer.text());
      })().catch(() => response.destroy());
    });
  }

  /** Not started yet. `environment` says which upstream it has; a PUBLIC_URL in it takes the place of our own. */
  static async prepare(environment: Record<string, string>): Promise<CrashingService> {
    const front = createServer().listen(0, '127.0.0.1');
    await once(front, 'listening');
    const PUBLIC_URL = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
    const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-crash-'));
    return new CrashingService(await createTestDatabase(), dataDir, front, { PUBLIC_URL, ...environment });
  }

  /** Starts it. With a crash point it dies when it passes there. */
  async start(crashAt?: CrashPoint): Promise<TestApp> {
    const child = spawn(
      process.execPath,
      ['--import', './test/support/setup/typescript.mjs', 'test/support/crash/crashing-service-main.ts'],
      {
        env: {
          PATH: process.env.PATH,
          PORT: '0',
          LOG_LEVEL: 'error',
          DATABASE_URL: this.database.url,
          DATA_DIR: this.dataDir,
          PRICES_FILE: 'test/support/billing/prices.json',
          ...this.environment,
          ...(crashAt && { CRASH_AT: crashAt }),
        },
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    this.child = child;
    this.died = once(child, 'exit').then(() => {
      this.url = null;
    });
    let line: string | null = null;
    createInterface(child.stdout).once('line', (text) => (line = text));
    const ready = await waitFor(
      'the service to listen',
      () => {
        if (child.exitCode !== null) throw new Error(`The service ended with ${child.exitCode}.`);
        return line === null ? null : (JSON.parse(line) as { url: string; firstKey: string | null });
      },
      { timeoutMs: START_MS },
    );
    this.key ||= ready.firstKey ?? '';
    this.app = TestApp.attach({ ...ready, stop: () => Promise.resolve() }, this.database.url, this.key);
    this.url = ready.url;
    return this.app;
  }

  /** Waits for its death, starts it again and talks to the new one from then on. Returns the signal it died by. */
  async restart(): Promise<NodeJS.Signals | null> {
    await this.died;
    const signal = this.child?.signalCode ?? null;
    await this.app.stop();
    await this.start();
    return signal;
  }

  kill(): void {
    this.child?.kill('SIGKILL');
  }

  /** Kills it and removes everything that was made for it. */
  async remove(): Promise<void> {
    this.kill();
    await this.died;
    await this.app?.stop();
    this.front.closeAllConnections();
    this.front.close();
    await this.database.drop();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}
