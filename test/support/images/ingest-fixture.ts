import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import sharp from 'sharp';
import { newId } from '../../../src/core/primitives/ids.js';
import { BlobRepository } from '../../../src/db/images/blob-repository.js';
import { ImageRepository } from '../../../src/db/images/image-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { type EventLog } from '../../../src/event-log/event-log.js';
import { HttpClient } from '../../../src/net/http-client.js';
import { ImageIngest } from '../../../src/services/images/ingest.js';
import { DiskStore } from '../../../src/storage/disk-store.js';
import { type RequestHandler, TestHttpServer } from '../net/test-http-server.js';
import { createTestDatabase, type TestDatabase } from '../setup/test-database.js';

const log = pino({ level: 'silent' });
const eventLog = { requestSeal: () => undefined } as EventLog;

/** A database, a store in a folder, and a source that serves a PNG unless `answer` is set. */
export class IngestFixture {
  /** Answers in place of the source. */
  answer: RequestHandler | null = null;
  readonly images: ImageRepository;
  private readonly http = new HttpClient();
  private readonly workspaceId = newId();

  private constructor(
    readonly db: Database,
    private readonly database: TestDatabase,
    /** The folder of the store. */
    readonly folder: string,
    /** What the source serves. */
    readonly bytes: Buffer,
    readonly source: TestHttpServer,
  ) {
    this.images = new ImageRepository(db);
    source.handler = (response, received) =>
      this.answer ? this.answer(response, received) : response.end(bytes);
  }

  static async open(): Promise<IngestFixture> {
    const database = await createTestDatabase();
    const db = new Database({ url: database.url, maxConnections: 3, log });
    const folder = await mkdtemp(join(tmpdir(), 'darkroom-ingest-'));
    const create = { width: 10, height: 10, channels: 3, background: 'red' } as const;
    const bytes = await sharp({ create }).png().toBuffer();
    const source = await TestHttpServer.open((response) => response.end());
    const fixture = new IngestFixture(db, database, folder, bytes, source);
    await db.pool.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [fixture.workspaceId]);
    return fixture;
  }

  async close(): Promise<void> {
    await this.http.destroy();
    await this.source.close();
    await this.db.close();
    await this.database.drop();
    await rm(this.folder, { recursive: true });
  }

  /** An instance that has just started, so that it does not know of earlier failures of the store. */
  startIngest({
    http = this.http,
    downloadTimeoutMs,
  }: { http?: HttpClient; downloadTimeoutMs?: number } = {}): ImageIngest {
    const blobs = new BlobRepository(this.db);
    const store = new DiskStore(this.folder);
    const { images } = this;
    return new ImageIngest({
      ...{ images, blobs, store, http, eventLog, log },
      maxBytes: 1_000_000,
      downloadTimeoutMs,
    });
  }

  /** Returns the ID of the task. */
  async insertTaskWithImage({
    createdAt = new Date(),
    query = '',
    url = null as string | null,
    workspaceId = this.workspaceId,
  } = {}): Promise<string> {
    const upstreamUrl = url ?? `${this.source.url}/image.png${query}`;
    const taskId = newId();
    await this.db.pool.query(
      `INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, pending_images, input_hash, deadline_at)
       VALUES ($1, $2, 'GENERATE', 'SUCCEEDED', 'p', 'flux-dev', 1, 1, '', now())`,
      [taskId, workspaceId],
    );
    await this.db.pool.query(
      'INSERT INTO images (id, workspace_id, task_id, index, upstream_url, created_at) VALUES ($1, $2, $3, 0, $4, $5)',
      [newId(), workspaceId, taskId, upstreamUrl, createdAt],
    );
    return taskId;
  }

  async readImage(taskId: string) {
    return (await this.images.findByTask(taskId))[0];
  }
}
