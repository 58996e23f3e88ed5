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

/** A child process compiles the whole service before it listens, while other processes do the same. */
const START_TIMEOUT_MS = 60_000;

/**
 * A service in a child process that crashes and is restarted with the same database, data directory and public URL.
 * Requests to the public URL wait while no process listens, as they do at a load balancer.
 */
export class CrashingService {
  /** The running app, or the last one that ran. */
  app!: TestApp;
  private child: ChildProcess | null = null;
  private exited: Promise<void> = Promise.resolve();
  private url: string | null = null;
  private apiKey = '';

  private constructor(
    private readonly database: TestDatabase,
    private readonly dataDir: string,
    private readonly loadBalancer: Server,
    private readonly environment: Record<string, string>,
  ) {
    loadBalancer.on('request', (request, response) => {
      void (async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        const url = await waitFor('the service to listen', () => this.url);
        const serviceResponse = await fetch(url + (request.url ?? ''), {
          method: request.method,
          body: Buffer.concat(chunks),
        });
        response.writeHead(serviceResponse.status).end(await serviceResponse.text());
      })().catch(() => response.destroy());
    });
  }

  /** Creates the service without starting it. `environment` selects the upstream, and its PUBLIC_URL overrides the default. */
  static async prepare(environment: Record<string, string>): Promise<CrashingService> {
    const loadBalancer = createServer().listen(0, '127.0.0.1');
    await once(loadBalancer, 'listening');
    const PUBLIC_URL = `http://127.0.0.1:${(loadBalancer.address() as AddressInfo).port}`;
    const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-crash-'));
    return new CrashingService(await createTestDatabase(), dataDir, loadBalancer, {
      PUBLIC_URL,
      ...environment,
    });
  }

  /** Starts the service. It kills itself when it reaches the crash point. */
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
    this.exited = once(child, 'exit').then(() => {
      this.url = null;
    });
    let line: string | null = null;
    createInterface(child.stdout).once('line', (text) => (line = text));
    const ready = await waitFor(
      'the service to listen',
      () => {
        if (child.exitCode !== null) throw new Error(`The service exited with ${child.exitCode}.`);
        return line === null ? null : (JSON.parse(line) as { url: string; firstApiKey: string | null });
      },
      { timeoutMs: START_TIMEOUT_MS },
    );
    this.apiKey ||= ready.firstApiKey ?? '';
    this.app = TestApp.attach({ ...ready, stop: () => Promise.resolve() }, this.database.url, this.apiKey);
    this.url = ready.url;
    return this.app;
  }

  /** Waits for the process to die and starts the service again. Returns the signal that killed the process. */
  async restart(): Promise<NodeJS.Signals | null> {
    await this.exited;
    const signal = this.child?.signalCode ?? null;
    await this.app.stop();
    await this.start();
    return signal;
  }

  kill(): void {
    this.child?.kill('SIGKILL');
  }

  /** Kills the service and removes its database and its data directory. */
  async dispose(): Promise<void> {
    this.kill();
    await this.exited;
    await this.app?.stop();
    this.loadBalancer.closeAllConnections();
    this.loadBalancer.close();
    await this.database.drop();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}
