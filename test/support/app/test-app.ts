import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TypedDocumentNode } from '@graphql-typed-document-node/core';
import { type ExecutionResult, print } from 'graphql';
import { type Client as WebSocketClient, createClient } from 'graphql-ws';
import pg from 'pg';
import { pino } from 'pino';
import supertest from 'supertest';
import { WebSocket } from 'ws';
import { type App, startApp, type Tuning } from '../../../src/app/app.js';
import { readConfig } from '../../../src/config/config.js';
import { createTestDatabase, type TestDatabase } from '../setup/test-database.js';
import {
  type GenerateImagesInput,
  GenerateImagesDocument,
  TaskByIdDocument,
  type TaskByIdQuery,
  TaskHistoryDocument,
  type TaskHistoryQuery,
  TaskUpdatedDocument,
  type TaskUpdatedSubscription,
} from '../../../clients/operations.js';
import { waitFor } from '../wait-for.js';

export type TaskView = NonNullable<TaskByIdQuery['task']>;
export type EventView = TaskUpdatedSubscription['taskUpdated'];
export type HistoryView = NonNullable<TaskHistoryQuery['task']>['events']['nodes'][number];

export interface TestAppOptions {
  /** A database that others use too; without it the app gets one of its own, which goes with it. */
  databaseUrl?: string;
  /** A key of that database: only the first app on it is told one. */
  key?: string;
  /** Kept by whoever gave it; without it a temporary one. Apps that share callbacks or cursors share it. */
  dataDir?: string;
  environment?: Record<string, string>;
  tuning?: Tuning;
}

/** An HTTP answer, read to its end. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  bytes: Buffer;
  /** Null when the body is not JSON. */
  json: unknown;
}

/** One subscription, and what has come of it so far. */
export interface Watch<Item> {
  received: Item[];
  /** Resolves when the server completes the stream; rejects with what it ended by otherwise. */
  ended: Promise<void>;
  /** Unsubscribes. */
  stop(): void;
}

/** The whole service in this process, on a free port, and a frontend's ways to talk to it. */
export class TestApp {
  private readonly sockets: WebSocketClient;
  private stopped: Promise<void> | null = null;

  private constructor(
    private readonly app: App,
    readonly databaseUrl: string,
    readonly dataDir: string,
    readonly key: string,
    /** Every line that was logged, from `debug` on. */
    readonly logged: string[],
    private readonly sql: pg.Pool,
    private readonly release: () => Promise<void>,
  ) {
    this.sockets = this.connectSockets(key);
  }

  static async start(options: TestAppOptions = {}): Promise<TestApp> {
    const database: TestDatabase | null = options.databaseUrl ? null : await createTestDatabase();
    const databaseUrl = options.databaseUrl ?? database?.url ?? '';
    const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'darkroom-api-')));
    const release = async () => {
      await database?.drop();
      if (!options.dataDir) await rm(dataDir, { recursive: true, force: true });
    };
    const logged: string[] = [];
    const log = pino({ level: 'debug' }, { write: (line: string) => logged.push(line) });
    const environment = { DATABASE_URL: databaseUrl, DATA_DIR: dataDir, PORT: '0', LOG_LEVEL: 'silent' };
    try {
      const config = readConfig({ ...environment, ...options.environment });
      // Long enough for the reply to a submission to be written down before the callback comes, on a busy machine too.
      const tuning = { sandboxDelayMs: 150, reconcileEveryMs: 100, ...options.tuning };
      const app = await startApp(config, log, tuning);
      const sql = new pg.Pool({ connectionString: databaseUrl, max: 2 });
      sql.on('error', () => undefined);
      return new TestApp(app, databaseUrl, dataDir, options.key ?? app.firstKey ?? '', logged, sql, release);
    } catch (error) {
      await release();
      throw error;
    }
  }

  /** The same ways to talk to a service that runs elsewhere, such as in a process of its own. */
  static attach(app: App, databaseUrl: string, key: string): TestApp {
    const sql = new pg.Pool({ connectionString: databaseUrl, max: 2 });
    sql.on('error', () => undefined);
    return new TestApp(app, databaseUrl, '', key, [], sql, () => Promise.resolve());
  }

  get url(): string {
    return this.app.url;
  }

  /** Ends the service as SIGTERM does, then removes what was made for it. */
  stop(): Promise<void> {
    this.stopped ??= (async () => {
      await this.app.stop();
      await this.sockets.dispose();
      await this.sql.end();
      await this.release();
    })();
    return this.stopped;
  }

  /** The server as supertest sees it. */
  get http() {
    return supertest(this.url);
  }

  async get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return readAnswer(this.http.get(path).set(headers));
  }

  /** Posts a body as it is; an object as JSON. */
  async send(path: string, body: string | object, headers: Record<string, string> = {}): Promise<Answer> {
    const request = this.http.post(path).set({ 'content-type': 'application/json', ...headers });
    return readAnswer(request.send(typeof body === 'string' ? body : JSON.stringify(body)));
  }

  /** Posts a document and returns the whole answer. */
  async post<Data, Variables>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    key = this.key,
  ): Promise<ExecutionResult<Data>> {
    const body = { query: print(document), variables };
    const { json } = await this.send('/graphql', body, { authorization: `Bearer ${key}` });
    return json as ExecutionResult<Data>;
  }

  /** Posts a document; what it asked for, or an error when the answer has errors. */
  async query<Data, Variables>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    key = this.key,
  ): Promise<Data> {
    const { data, errors } = await this.post(document, variables, key);
    if (errors || !data) throw new Error(`GraphQL answered with errors: ${JSON.stringify(errors)}`);
    return data;
  }

  /** Asks for pictures and returns the task. */
  async generate(input: GenerateImagesInput): Promise<TaskView> {
    const { generateImages } = await this.query(GenerateImagesDocument, { input });
    if (!generateImages.task) throw new Error(`Refused: ${JSON.stringify(generateImages.userErrors)}`);
    return { ...generateImages.task, lateImages: [] };
  }

  async task(id: string): Promise<TaskView> {
    const { task } = await this.query(TaskByIdDocument, { id });
    if (!task) throw new Error(`There is no task ${id}.`);
    return task;
  }

  /** The task's history, whole. */
  async history(id: string): Promise<HistoryView[]> {
    const { task } = await this.query(TaskHistoryDocument, { id, first: 100 });
    return task?.events.nodes ?? [];
  }

  /** Waits until the task's history has an event of this type. */
  async happened(id: string, type: HistoryView['type']): Promise<HistoryView> {
    return waitFor(`${type} of task ${id}`, async () =>
      (await this.history(id)).find((event) => event.type === type),
    );
  }

  /** Watches the task until nothing more is expected of it; then the task as it is. */
  async settled(id: string): Promise<TaskView> {
    await this.watchTask(id).ended;
    return this.task(id);
  }

  watchTask(id: string, after?: string | null): Watch<EventView> {
    const received: EventView[] = [];
    const take = ({ taskUpdated }: TaskUpdatedSubscription) => received.push(taskUpdated);
    return { received, ...this.subscribe(TaskUpdatedDocument, { id, after }, take) };
  }

  watch<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    client = this.sockets,
  ): Watch<Data> {
    const received: Data[] = [];
    return { received, ...this.subscribe(document, variables, (data) => received.push(data), client) };
  }

  /** A WebSocket client of its own. Dispose of it. */
  connectSockets(key: string): WebSocketClient {
    return createClient({
      url: `${this.url.replace(/^http/, 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${key}` },
      retryAttempts: 0,
    });
  }

  private subscribe<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    take: (data: Data) => void,
    client = this.sockets,
  ): Pick<Watch<Data>, 'ended' | 'stop'> {
    let stop = () => {};
    const ended = new Promise<void>((resolve, reject) => {
      stop = client.subscribe<Data>(
        { query: print(document), variables },
        {
          next: ({ data, errors }) => {
            if (data && !errors) take(data);
            else reject(new WatchFailed(errors));
          },
          error: (error) => reject(new WatchFailed(error)),
          complete: resolve,
        },
      );
    });
    ended.catch(() => undefined);
    return { ended, stop };
  }

  /** Rows of the database behind the service. */
  async rows<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.sql.query<Row>(text, values)).rows;
  }

  /** What the mounted sandbox would have billed for prompts that hold `text`. */
  async billed(text = ''): Promise<{ total: number; pictures: number }> {
    const { json } = await this.get(`/sandbox/ledger?prompt=${encodeURIComponent(text)}`);
    return json as { total: number; pictures: number };
  }
}

async function readAnswer(request: supertest.Test): Promise<Answer> {
  const response = await request.buffer(true).parse((incoming, done) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer | string) => chunks.push(Buffer.from(chunk)));
    incoming.on('end', () => done(null, Buffer.concat(chunks)));
  });
  const bytes = Buffer.isBuffer(response.body) ? response.body : Buffer.alloc(0);
  const headers = response.headers as Record<string, string>;
  const isJson = headers['content-type']?.includes('json') && bytes.length > 0;
  return { status: response.status, headers, bytes, json: isJson ? JSON.parse(bytes.toString()) : null };
}

/** The path of a link of ours, with its token. */
export function pathOf(url: string | undefined): string {
  const { pathname, search } = new URL(url ?? '');
  return pathname + search;
}

/** Why a stream did not complete: GraphQL errors, or how the socket was closed. */
export class WatchFailed extends Error {
  constructor(readonly reason: unknown) {
    super(`The stream ended early: ${JSON.stringify(reason)}`);
    this.name = 'WatchFailed';
  }

  /** The codes of the GraphQL errors. */
  get codes(): unknown[] {
    const errors = Array.isArray(this.reason) ? (this.reason as { extensions?: { code?: unknown } }[]) : [];
    return errors.map((error) => error.extensions?.code);
  }
}

/** The codes that a stream ends with. */
export async function codesOf(watch: Watch<unknown>): Promise<unknown[]> {
  const error: unknown = await watch.ended.then(
    () => null,
    (reason: unknown) => reason,
  );
  return error instanceof WatchFailed ? error.codes : [];
}

export function typesOf(events: readonly { type: string }[]): string[] {
  return events.map((event) => event.type);
}
