import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import pg from 'pg';
import { type Tuning } from '../../../src/app/tuning.js';
import { TcpProxy } from '../net/tcp-proxy.js';
import { createTestDatabase, type TestDatabase } from '../setup/test-database.js';
import { FakeUpstream } from '../upstreams/fake-upstream.js';
import { TestApp } from './test-app.js';

/** Apps whose connections to PostgreSQL can be cut, with their upstream and their data directory. */
export class OutageFixture {
  readonly apps: TestApp[] = [];

  private constructor(
    private readonly database: TestDatabase,
    private readonly databaseUrl: string,
    readonly proxy: TcpProxy,
    /** Connected past the proxy, so that it works during the outage. */
    readonly sql: pg.Client,
    readonly dataDir: string,
    readonly upstream: FakeUpstream,
  ) {}

  static async open(): Promise<OutageFixture> {
    // When a connection is lost, graphile-worker calls console.trace, which no logger can capture.
    jest.spyOn(console, 'trace').mockImplementation(() => undefined);
    const database = await createTestDatabase();
    const { proxy, url } = await TcpProxy.inFrontOf(database.url);
    const sql = new pg.Client({ connectionString: database.url });
    await sql.connect();
    const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-outage-'));
    return new OutageFixture(database, url, proxy, sql, dataDir, await FakeUpstream.open());
  }

  /** Stops the apps, newest first, and removes everything. */
  async close(): Promise<void> {
    for (const app of this.apps.splice(0).reverse()) await app.stop();
    await this.proxy.cut();
    await this.sql.end();
    await this.database.drop();
    await this.upstream.close();
    await rm(this.dataDir, { recursive: true });
  }

  async start(beside?: TestApp, tuning: Tuning = {}): Promise<TestApp> {
    const { databaseUrl, dataDir } = this;
    const app = await TestApp.start({
      ...{ databaseUrl, dataDir, tuning, environment: this.upstream.environment },
      ...(beside && { apiKey: beside.apiKey }),
    });
    this.apps.push(app);
    return app;
  }

  /** A task that only its callback can complete: its submission was sent, and its response is lost. */
  async createUnconfirmedTask(app: TestApp, prompt: string): Promise<{ id: string; path: string }> {
    this.upstream.onSubmit = (response) => response.destroy();
    const { id } = await app.generate({ prompt });
    await app.waitForEvent(id, 'SUBMIT_UNCONFIRMED');
    return { id, path: await this.upstream.callbackPath(prompt) };
  }

  /** The files in the spool's folder of outcomes, or in its folder `callbacks`. */
  async spooledFiles(...folder: 'callbacks'[]): Promise<string[]> {
    const files = await readdir(join(this.dataDir, 'spool', ...folder)).catch(() => []);
    return files.filter((name) => name.endsWith('.json'));
  }
}
