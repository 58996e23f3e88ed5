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
  /** Database to use. Without it, the app creates a database and drops it when it stops. */
  databaseUrl?: string;
  /** API key for that database. Only the first app on a database creates an API key, so the others must be given it. */
  apiKey?: string;
  /**
   * Data directory to use. Without it, the app creates a temporary one and deletes it when it stops. Apps that verify
   * each other's callback links or cursors must share it, because it holds the secret key.
   */
  dataDir?: string;
  environment?: Record<string, string>;
  tuning?: Tuning;
}

/** An HTTP response with its whole body. */
export interface HttpResponse {
  status: number;
  headers: Record<string, string>;
  bytes: Buffer;
  /** Null when the body is not JSON. */
  json: unknown;
}

/** A subscription and the items that it has received so far. */
export interface TestSubscription<Item> {
  received: Item[];
  /** Resolves when the server completes the stream. Rejects with SubscriptionFailed when the stream ends in any other way. */
  ended: Promise<void>;
  /** Unsubscribes. */
  stop(): void;
}

/** The whole service in this process, on a free port, with the requests that a frontend can send. */
export class TestApp {
  private readonly webSocketClient: WebSocketClient;
  private stopped: Promise<void> | null = null;

  private constructor(
    private readonly app: App,
    readonly databaseUrl: string,
    readonly dataDir: string,
    readonly apiKey: string,
    /** Every log line of level `debug` or higher. */
    readonly logLines: string[],
    private readonly sql: pg.Pool,
    private readonly removeResources: () => Promise<void>,
  ) {
    this.webSocketClient = this.createWebSocketClient(apiKey);
  }

  static async start(options: TestAppOptions = {}): Promise<TestApp> {
    const database: TestDatabase | null = options.databaseUrl ? null : await createTestDatabase();
    const databaseUrl = options.databaseUrl ?? database?.url ?? '';
    const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'darkroom-api-')));
    const removeResources = async () => {
      await database?.drop();
      if (!options.dataDir) await rm(dataDir, { recursive: true, force: true });
    };
    const logLines: string[] = [];
    const log = pino({ level: 'debug' }, { write: (line: string) => logLines.push(line) });
    const environment = { DATABASE_URL: databaseUrl, DATA_DIR: dataDir, PORT: '0', LOG_LEVEL: 'silent' };
    try {
      const config = readConfig({ ...environment, ...options.environment });
      // Long enough for the reply to a submission to be saved before the callback arrives, even on a busy machine.
      const tuning = { sandboxDelayMs: 150, reconcileIntervalMs: 100, ...options.tuning };
      const app = await startApp(config, log, tuning);
      const sql = new pg.Pool({ connectionString: databaseUrl, max: 2 });
      sql.on('error', () => undefined);
      return new TestApp(
        app,
        databaseUrl,
        dataDir,
        options.apiKey ?? app.firstApiKey ?? '',
        logLines,
        sql,
        removeResources,
      );
    } catch (error) {
      await removeResources();
      throw error;
    }
  }

  /** Wraps a service that runs elsewhere, such as in a child process, so that a test can send it the same requests. */
  static attach(app: App, databaseUrl: string, key: string): TestApp {
    const sql = new pg.Pool({ connectionString: databaseUrl, max: 2 });
    sql.on('error', () => undefined);
    return new TestApp(app, databaseUrl, '', key, [], sql, () => Promise.resolve());
  }

  get url(): string {
    return this.app.url;
  }

  /** Stops the service as SIGTERM does, then removes the database and the directory that were created for it. */
  stop(): Promise<void> {
    this.stopped ??= (async () => {
      await this.app.stop();
      await this.webSocketClient.dispose();
      await this.sql.end();
      await this.removeResources();
    })();
    return this.stopped;
  }

  /** A supertest agent for the server. */
  get http() {
    return supertest(this.url);
  }

  async get(path: string, headers: Record<string, string> = {}): Promise<HttpResponse> {
    return readResponse(this.http.get(path).set(headers));
  }

  /** Posts a string unchanged, or an object as JSON. */
  async postBody(
    path: string,
    body: string | object,
    headers: Record<string, string> = {},
  ): Promise<HttpResponse> {
    const request = this.http.post(path).set({ 'content-type': 'application/json', ...headers });
    return readResponse(request.send(typeof body === 'string' ? body : JSON.stringify(body)));
  }

  /** Posts a document and returns the whole result. */
  async execute<Data, Variables>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    key = this.apiKey,
  ): Promise<ExecutionResult<Data>> {
    const body = { query: print(document), variables };
    const { json } = await this.postBody('/graphql', body, { authorization: `Bearer ${key}` });
    return json as ExecutionResult<Data>;
  }

  /** Posts a document and returns its data. Throws when the result has errors. */
  async query<Data, Variables>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    key = this.apiKey,
  ): Promise<Data> {
    const { data, errors } = await this.execute(document, variables, key);
    if (errors || !data) {
      const log = this.logLines.slice(-5).join('');
      throw new Error(
        `The GraphQL result has errors: ${JSON.stringify(errors)}\nThe end of the log:\n${log}`,
      );
    }
    return data;
  }

  /** Requests images and returns the task. Throws when the input is rejected. */
  async generate(input: GenerateImagesInput): Promise<TaskView> {
    const { generateImages } = await this.query(GenerateImagesDocument, { input });
    if (!generateImages.task)
      throw new Error(`The input was rejected: ${JSON.stringify(generateImages.userErrors)}`);
    return { ...generateImages.task, lateImages: [] };
  }

  async task(id: string): Promise<TaskView> {
    const { task } = await this.query(TaskByIdDocument, { id });
    if (!task) throw new Error(`There is no task ${id}.`);
    return task;
  }

  /** The task's events, oldest first. */
  async history(id: string): Promise<HistoryView[]> {
    const { task } = await this.query(TaskHistoryDocument, { id, first: 100 });
    return task?.events.nodes ?? [];
  }

  /** Waits until the task's history has an event of this type. */
  async waitForEvent(id: string, type: HistoryView['type']): Promise<HistoryView> {
    return waitFor(`${type} of task ${id}`, async () =>
      (await this.history(id)).find((event) => event.type === type),
    );
  }

  /** Waits until the task is settled: it has ended and each of its images is stored, lost or deleted. Returns the task. */
  async waitUntilSettled(id: string): Promise<TaskView> {
    await this.subscribeToTask(id).ended;
    return this.task(id);
  }

  subscribeToTask(id: string, after?: string | null): TestSubscription<EventView> {
    const received: EventView[] = [];
    const onData = ({ taskUpdated }: TaskUpdatedSubscription) => received.push(taskUpdated);
    return { received, ...this.startSubscription(TaskUpdatedDocument, { id, after }, onData) };
  }

  openSubscription<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    client = this.webSocketClient,
  ): TestSubscription<Data> {
    const received: Data[] = [];
    return {
      received,
      ...this.startSubscription(document, variables, (data) => received.push(data), client),
    };
  }

  /** Creates another WebSocket client. The caller must dispose of it. */
  createWebSocketClient(key: string): WebSocketClient {
    return createClient({
      url: `${this.url.replace(/^http/, 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${key}` },
      retryAttempts: 0,
    });
  }

  private startSubscription<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    onData: (data: Data) => void,
    client = this.webSocketClient,
  ): Pick<TestSubscription<Data>, 'ended' | 'stop'> {
    let stop = () => {};
    const ended = new Promise<void>((resolve, reject) => {
      stop = client.subscribe<Data>(
        { query: print(document), variables },
        {
          next: ({ data, errors }) => {
            if (data && !errors) onData(data);
            else reject(new SubscriptionFailed(errors));
          },
          error: (error) => reject(new SubscriptionFailed(error)),
          complete: resolve,
        },
      );
    });
    ended.catch(() => undefined);
    return { ended, stop };
  }

  /** Runs a statement in the service's database and returns the rows. */
  async rows<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.sql.query<Row>(text, values)).rows;
  }

  /** The charges of the mounted sandbox for prompts that contain `text`. */
  async sandboxCharges(text = ''): Promise<{ total: number; images: number }> {
    const { json } = await this.get(`/sandbox/ledger?prompt=${encodeURIComponent(text)}`);
    return json as { total: number; images: number };
  }
}

async function readResponse(request: supertest.Test): Promise<HttpResponse> {
  const response = await request.buffer(true).parse((message, done) => {
    const chunks: Buffer[] = [];
    message.on('data', (chunk: Buffer | string) => chunks.push(Buffer.from(chunk)));
    message.on('end', () => done(null, Buffer.concat(chunks)));
  });
  const bytes = Buffer.isBuffer(response.body) ? response.body : Buffer.alloc(0);
  const headers = response.headers as Record<string, string>;
  const isJson = headers['content-type']?.includes('json') && bytes.length > 0;
  return { status: response.status, headers, bytes, json: isJson ? JSON.parse(bytes.toString()) : null };
}

/** The path and query of a signed link. */
export function pathAndQuery(url: string | undefined): string {
  const { pathname, search } = new URL(url ?? '');
  return pathname + search;
}

/** A stream did not complete. `reason` holds the GraphQL errors or the close event of the WebSocket. */
export class SubscriptionFailed extends Error {
  constructor(readonly reason: unknown) {
    super(`The stream ended early: ${JSON.stringify(reason)}`);
    this.name = 'SubscriptionFailed';
  }

  /** Codes of the GraphQL errors. */
  get codes(): unknown[] {
    const errors = Array.isArray(this.reason) ? (this.reason as { extensions?: { code?: unknown } }[]) : [];
    return errors.map((error) => error.extensions?.code);
  }
}

/** The error codes that a stream ends with. Empty when it completes or when the WebSocket was closed. */
export async function subscriptionErrorCodes(subscription: TestSubscription<unknown>): Promise<unknown[]> {
  const error: unknown = await subscription.ended.then(
    () => null,
    (reason: unknown) => reason,
  );
  return error instanceof SubscriptionFailed ? error.codes : [];
}

export function eventTypes(events: readonly { type: string }[]): string[] {
  return events.map((event) => event.type);
}
