import { mkdtemp, rm } from 'node:fs/promises';
import { type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import sharp from 'sharp';
import { type Caller } from '../../../src/core/access/caller.js';
import { InputRejected, ImageUnavailable, UpstreamPaused } from '../../../src/core/errors.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type SubmitJob } from '../../../src/core/primitives/jobs.js';
import { PriceList } from '../../../src/core/billing/prices.js';
import { Signer } from '../../../src/core/access/signer.js';
import { AuditRepository } from '../../../src/db/access/audit-repository.js';
import { RateLimitRepository } from '../../../src/db/limits/rate-limit-repository.js';
import { BlobRepository } from '../../../src/db/images/blob-repository.js';
import { BudgetRepository } from '../../../src/db/billing/budget-repository.js';
import { CallbackRepository } from '../../../src/db/callbacks/callback-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { type Statement } from '../../../src/db/postgres/statement.js';
import { EventRepository } from '../../../src/db/events/event-repository.js';
import { InFlightRepository } from '../../../src/db/limits/in-flight-repository.js';
import { ImageRepository } from '../../../src/db/images/image-repository.js';
import { LeaseRepository } from '../../../src/db/instances/lease-repository.js';
import { LEDGER_DRIFT, type LedgerDrift } from '../../../src/db/billing/ledger-check.js';
import { SubmissionPaceRepository } from '../../../src/db/tasks/submission-pace-repository.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { EventLog } from '../../../src/event-log/event-log.js';
import { BackPressure } from '../../../src/services/tasks/back-pressure.js';
import { SubmitOutcomes } from '../../../src/services/tasks/submit-outcomes.js';
import { Spool } from '../../../src/storage/spool.js';
import { DiskStore } from '../../../src/storage/disk-store.js';
import { SsrfGuard } from '../../../src/net/ssrf-guard.js';
import { HttpClient } from '../../../src/net/http-client.js';
import { AceDataClient } from '../../../src/upstreams/acedata-client.js';
import { UpstreamGate } from '../../../src/upstreams/upstream-gate.js';
import { SignedLinks } from '../../../src/services/access/signed-links.js';
import { CallbackInbox } from '../../../src/services/callbacks/callback-inbox.js';
import { Generation } from '../../../src/services/tasks/generation.js';
import { ImageIngest } from '../../../src/services/images/ingest.js';
import { RateLimits, RATE_LIMIT_WINDOW_MS } from '../../../src/services/limits/rate-limits.js';
import { Expiry } from '../../../src/services/tasks/expiry/expiry.js';
import { Reconciliation } from '../../../src/services/tasks/reconciliation.js';
import { SourceImages } from '../../../src/services/tasks/source-images.js';
import { Results } from '../../../src/services/tasks/results.js';
import { RequestPricing } from '../../../src/services/billing/request-pricing.js';
import { TaskControl } from '../../../src/services/tasks/task-control.js';
import { TestHttpServer, type ReceivedRequest, reply } from '../net/test-http-server.js';
import { callerWith } from '../access/callers.js';
import { createTestDatabase, type TestDatabase } from '../setup/test-database.js';
import { ManualJobQueue } from './manual-job-queue.js';

export const UPSTREAM_REPLIES = ['accepted', 'succeeded', 'failed', 'unknown', 'refused'] as const;
/** The upstream's reply to a submission. */
export type UpstreamReply = (typeof UPSTREAM_REPLIES)[number];
/** Number of images that a generation returns. 0 means that it fails. */
export type ImageCount = 0 | 1 | 2 | 3;

/** An action of the model. `index` picks a task or a job, modulo their number. */
export type Command =
  | {
      type:
        | 'run-job'
        | 'run-job-unreachable'
        | 'run-job-paused'
        | 'crash-with-job'
        | 'crash-while-submitting'
        | 'run-job-twice'
        | 'make-jobs-due'
        | 'pass-deadline'
        | 'expire'
        | 'cancel'
        | 'retry'
        | 'replay-callback';
      index: number;
    }
  | { type: 'post-callback' | 'post-callback-twice' | 'reconcile'; index: number; imageCount: ImageCount }
  | { type: 'ingest-images'; index: number; attempt: 1 | 8 };

/** Called before each SQL statement and each upstream reply, which waits until the returned promise resolves. */
export type PauseHook = (label: string) => Promise<void>;

const PUBLIC_URL = 'http://darkroom.example';
/** A public IP address, so that no DNS lookup is needed. Nothing is posted there, because no webhook sender runs. */
const WEBHOOK_URL = 'http://93.184.216.34/hook';
const NO_PAUSE: PauseHook = () => Promise.resolve();
/** Gives every task a cost. It counts in a budget of each scope, and no budget is ever exceeded. */
const PRICES = new PriceList([
  { model: 'flux-dev', perImage: '0.1', currency: 'USD', validFrom: new Date(0) },
]);
const AMPLE_BUDGET = '1000000';
/** More than there are tasks. */
const MAX_SUBMITTING = 50;
const silent = pino({ level: 'silent' });

/**
 * The real services on a real PostgreSQL, with an upstream whose replies the test chooses. The jobs are in the queue's
 * table, but no queue runs them: the model decides which job runs when. A trigger records every change of a task's status.
 */
export class SystemUnderTest {
  readonly tasks: TaskRepository;
  /** IDs of the tasks of the current run. */
  taskIds: string[] = [];
  /** The upstream's replies to the submissions of each task. */
  readonly repliesByTask = new Map<string, UpstreamReply[]>();
  /** The caller who created each task. */
  private readonly callers = new Map<string, Caller>();
  private readonly jobQueue: ManualJobQueue;
  private pendingReplies: UpstreamReply[] = [];
  private imageCounts = new Map<string, ImageCount>();
  private pauseHook: PauseHook = NO_PAUSE;
  private readonly images: ImageRepository;
  private readonly inbox: CallbackInbox;
  private readonly control: TaskControl;
  private readonly imageIngest: ImageIngest;
  private readonly expiry: Expiry;
  private readonly reconciliation: Reconciliation;
  private readonly generation: Generation;
  private unreachableGeneration!: Generation;
  private pausedGeneration!: Generation;
  private readonly upstreams: AceDataClient[];
  private readonly makeGeneration: (upstream: AceDataClient, gate?: UpstreamGate) => Generation;

  private constructor(
    private readonly database: TestDatabase,
    readonly sql: pg.Pool,
    private readonly db: Database,
    private readonly http: HttpClient,
    private readonly upstreamServer: TestHttpServer,
    private readonly dataDir: string,
    private readonly imageBytes: Buffer,
    /** Two workspaces, one of them with an end user. */
    private readonly allCallers: readonly Caller[],
  ) {
    this.jobQueue = new ManualJobQueue(sql);
    const query = db.query.bind(db);
    db.query = async <Parameters extends object, Row extends object>(
      statement: Statement<Parameters, Row>,
      parameters: Parameters,
    ): Promise<Row[]> => {
      await this.pauseHook(statement.name);
      return query(statement, parameters);
    };
    this.tasks = new TaskRepository(db);
    this.images = new ImageRepository(db);
    const callbacks = new CallbackRepository(db);
    const eventLog = new EventLog(new EventRepository(db), database.url, silent);
    const signedLinks = new SignedLinks({
      signer: new Signer(Buffer.alloc(32, 'x')),
      publicUrl: PUBLIC_URL,
      urlForUpstream: PUBLIC_URL,
      canUpstreamFetchImages: true,
      imageLinkSeconds: null,
    });
    const options = { token: 'token', mode: 'callback', log: silent } as const;
    const upstream = new AceDataClient({ ...options, baseUrl: upstreamServer.url });
    // Nothing listens on port 1.
    this.upstreams = [upstream, new AceDataClient({ ...options, baseUrl: 'http://127.0.0.1:1' })];
    const { tasks, images } = this;
    const submissionPace = new SubmissionPaceRepository(db);
    const shared = { tasks, images, callbacks, eventLog, signedLinks, submissionPace, log: silent };
    const rateLimits = new RateLimits({
      rateLimitWindows: new RateLimitRepository(db),
      inFlight: new InFlightRepository(db),
      defaults: { key: {}, endUser: {}, workspace: {} },
      windowMs: RATE_LIMIT_WINDOW_MS,
      log: silent,
    });
    const urlGuards = { sourceImages: new SsrfGuard(), webhooks: new SsrfGuard() };
    const backPressure = new BackPressure(shared);
    const results = new Results({ ...shared, backPressure });
    const spool = new Spool(join(dataDir, 'spool'));
    const submitOutcomes = new SubmitOutcomes({ ...shared, backPressure, results, spool });
    this.makeGeneration = (upstreamClient, upstreamGate = new UpstreamGate(MAX_SUBMITTING, silent)) =>
      new Generation({
        ...shared,
        backPressure,
        submitOutcomes,
        results,
        upstream: upstreamClient,
        upstreamGate,
        sourceImages: new SourceImages({ ...shared, urlGuards }),
        pricing: new RequestPricing({ priceList: PRICES, budgets: new BudgetRepository(db) }),
        rateLimits,
      });
    this.generation = this.makeGeneration(upstream);
    const { generation } = this;
    this.control = new TaskControl({ ...shared, generation });
    const auditLog = new AuditRepository(db);
    this.inbox = new CallbackInbox({ ...shared, generation, retentionDays: 30, auditLog });
    this.imageIngest = new ImageIngest({
      ...shared,
      blobs: new BlobRepository(db),
      store: new DiskStore(join(dataDir, 'images')),
      http,
      maxBytes: 1e6,
    });
    const leases = new LeaseRepository(db);
    const reading = {
      ...shared,
      backPressure,
      leases,
      results,
      upstream,
      readIntervalMs: 0,
    };
    this.expiry = new Expiry(reading);
    this.reconciliation = new Reconciliation({ ...reading, readAfterMs: 0 });
    upstreamServer.handler = (response, received) => void this.handleRequest(response, received);
  }

  static async open(): Promise<SystemUnderTest> {
    const database = await createTestDatabase();
    const sql = new pg.Pool({ connectionString: database.url, max: 4 });
    const db = new Database({ url: database.url, maxConnections: 10, log: silent });
    const [workspaceId, otherId] = [newId(), newId()];
    await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'model'), ($2, 'other')", [
      workspaceId,
      otherId,
    ]);
    await sql.query(RECORD_STATUS_CHANGES);
    const green = { width: 8, height: 8, channels: 3, background: 'green' } as const;
    const imageBytes = await sharp({ create: green }).png().toBuffer();
    const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-model-'));
    const upstreamServer = await TestHttpServer.open(reply(404, {}));
    const caller = callerWith({ workspaceId, keyName: 'model' });
    const other = callerWith({ workspaceId: otherId, keyName: 'model' });
    const callers = [caller, other, { ...caller, endUserId: 'visitor' }];
    const budgets = new BudgetRepository(db);
    await budgets.set(
      { workspaceId, scope: 'WORKSPACE', scopeId: workspaceId },
      { amount: AMPLE_BUDGET, currency: 'USD' },
    );
    await budgets.set(
      { workspaceId, scope: 'API_KEY', scopeId: caller.keyId },
      { amount: AMPLE_BUDGET, currency: 'USD' },
    );
    await budgets.set(
      { workspaceId, scope: 'END_USER', scopeId: 'visitor' },
      { amount: AMPLE_BUDGET, currency: 'USD' },
    );
    return new SystemUnderTest(
      database,
      sql,
      db,
      new HttpClient(),
      upstreamServer,
      dataDir,
      imageBytes,
      callers,
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.upstreams.map((upstream) => upstream.destroy()));
    await this.http.destroy();
    await this.upstreamServer.close();
    await this.db.close();
    await this.sql.end();
    await this.database.drop();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  /** Starts a run with new tasks. The upstream gives these replies in order, and then `accepted`. */
  async startRun(taskCount: number, replies: readonly UpstreamReply[]): Promise<void> {
    this.taskIds = [];
    this.pendingReplies = [...replies];
    this.imageCounts = new Map();
    this.repliesByTask.clear();
    this.callers.clear();
    await this.jobQueue.clear();
    this.unreachableGeneration = this.makeGeneration(this.upstreams[1] as AceDataClient);
    const gate = new UpstreamGate(50, silent);
    for (let failures = 0; failures < 5; failures += 1) await gate.run(() => Promise.resolve('unreachable'));
    this.pausedGeneration = this.makeGeneration(this.upstreams[0] as AceDataClient, gate);
    for (let n = 0; n < taskCount; n += 1) {
      const input = { prompt: 'model', model: null, size: null, count: 3, sourceImageUrl: null };
      const unusedFields = {
        sourceImageId: null,
        idempotencyKey: null,
        metadata: null,
        timeoutSeconds: null,
      };
      const webhookUrl = n % 2 === 0 ? WEBHOOK_URL : null;
      const caller = this.allCallers[n % this.allCallers.length] as Caller;
      const request = { ...input, ...unusedFields, webhookUrl };
      const { task } = await this.generation.request(caller, request, { kind: 'GENERATE' });
      this.addTask(task.id, caller);
    }
  }

  /** Runs `work` while every statement and every reply waits for `pause`. */
  async withPauseHook(pause: PauseHook, work: () => Promise<unknown>): Promise<void> {
    this.pauseHook = pause;
    try {
      await work();
    } finally {
      this.pauseHook = NO_PAUSE;
    }
  }

  private addTask(id: string, caller: Caller): void {
    this.taskIds.push(id);
    this.callers.set(id, caller);
  }

  private callerOf(id: string): Caller {
    const caller = this.callers.get(id);
    if (!caller) throw new Error(`There is no task ${id} in this run.`);
    return caller;
  }

  /** Differences between the ledger and the budget counters. There must never be any, even while work is in progress. */
  async ledgerDrift(): Promise<LedgerDrift | undefined> {
    return (await this.sql.query<LedgerDrift>(LEDGER_DRIFT.text)).rows[0];
  }

  /** Performs an action. Rejects with any error that a service must not throw. */
  async perform(command: Command): Promise<void> {
    try {
      await this.execute(command);
    } catch (error) {
      const expected = [InputRejected, ImageUnavailable, UpstreamPaused];
      if (!expected.some((errorClass) => error instanceof errorClass)) throw error;
    }
  }

  /** Runs jobs until none is left. */
  async runAllJobs(): Promise<void> {
    for (;;) {
      await this.jobQueue.makeAllDue();
      const job = await this.jobQueue.lockNextJob(0);
      if (!job) return;
      await this.runJob(job, this.generation);
    }
  }

  /** Runs a job like the queue does. */
  private async runJob(job: SubmitJob, generation: Generation): Promise<void> {
    try {
      await generation.submit(job);
    } catch (error) {
      await this.jobQueue.release(job);
      if (!(error instanceof Error && error.message.includes('another run'))) throw error;
      return;
    }
    await this.jobQueue.complete(job);
  }

  /** Ends the run: every deadline passes, and every image is stored or lost. */
  async finish(): Promise<void> {
    await this.sql.query("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = ANY($1)", [
      this.taskIds,
    ]);
    await this.expireOverdue();
    for (const id of this.taskIds) await this.ingestImages(id, { isLastAttempt: true });
    while ((await this.sql.query<{ n: number }>('SELECT seal_events(1000) AS n')).rows[0]?.n !== 0);
  }

  private async execute(command: Command): Promise<void> {
    const id = this.taskIds[command.index % this.taskIds.length] ?? '';
    switch (command.type) {
      case 'run-job':
      case 'run-job-unreachable':
      case 'run-job-paused': {
        const job = await this.jobQueue.lockNextJob(command.index);
        const generations = {
          'run-job': this.generation,
          'run-job-unreachable': this.unreachableGeneration,
          'run-job-paused': this.pausedGeneration,
        };
        if (job) await this.runJob(job, generations[command.type]);
        return;
      }
      case 'crash-with-job':
      case 'crash-while-submitting': {
        const job = await this.jobQueue.lockNextJob(command.index);
        if (!job) return;
        if (command.type === 'crash-while-submitting')
          await this.tasks.claimNextTasks([{ ...job, submissionId: newId() }], MAX_SUBMITTING);
        return this.jobQueue.release(job);
      }
      case 'run-job-twice': {
        // A process that was paused for so long that it counted as dead, and then continues.
        const first = await this.jobQueue.lockNextJob(command.index);
        if (!first) return;
        await this.jobQueue.release(first);
        const second = await this.jobQueue.lockNextJob(command.index);
        const runs = [first, ...(second ? [second] : [])].map((job) => this.runJob(job, this.generation));
        await Promise.all(runs);
        return;
      }
      case 'make-jobs-due':
        return this.jobQueue.makeAllDue();
      case 'expire':
      case 'pass-deadline':
        await this.sql.query("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [
          id,
        ]);
        if (command.type === 'expire') await this.expireOverdue();
        return;
      case 'cancel':
        await this.control.cancel(this.callerOf(id), id);
        return;
      case 'retry':
        this.addTask((await this.control.retry(this.callerOf(id), id, {})).task.id, this.callerOf(id));
        return;
      case 'replay-callback': {
        const text = 'SELECT id FROM callbacks WHERE task_id = $1 ORDER BY id DESC LIMIT 1';
        const [callback] = (await this.sql.query<{ id: string }>(text, [id])).rows;
        if (callback) await this.inbox.replay(this.callerOf(id), callback.id);
        return;
      }
      case 'post-callback':
      case 'post-callback-twice': {
        const body = Buffer.from(JSON.stringify(this.callbackBody(id, command.imageCount)));
        const times = command.type === 'post-callback' ? 1 : 2;
        const receive = () => this.generation.receiveCallback(id, { id: newId(), attempt: null, body });
        await Promise.all(Array.from({ length: times }, receive));
        return;
      }
      case 'reconcile':
        this.imageCounts.set(id, command.imageCount);
        return this.reconciliation.reconcile();
      case 'ingest-images':
        return this.ingestImages(id, { isLastAttempt: command.attempt === 8 });
    }
  }

  private async expireOverdue(): Promise<void> {
    await this.expiry.expireUnread();
    await this.expiry.settleAccepted();
  }

  private async ingestImages(taskId: string, { isLastAttempt }: { isLastAttempt: boolean }): Promise<void> {
    if (isLastAttempt)
      await this.sql.query('UPDATE images SET source_failures = 7 WHERE task_id = $1', [taskId]);
    await this.imageIngest.ingestTaskImages(taskId);
  }

  /** Answers as the upstream: submissions, status requests and images. Images with the index 2 are missing. */
  private async handleRequest(response: ServerResponse, received: ReceivedRequest): Promise<void> {
    if (received.method === 'GET') {
      if (received.path.endsWith('/2.png')) response.writeHead(404).end();
      else response.end(this.imageBytes);
      return;
    }
    const body = JSON.parse(received.body) as { callback_url?: string; ids?: string[] };
    if (received.path === '/flux/tasks') {
      const items = (body.ids ?? []).map((upstreamId) => this.upstreamTask(upstreamId));
      reply(200, { items, count: items.length })(response, received);
      return;
    }
    const [, id = ''] = /\/callbacks\/flux\/([^/]+)\//.exec(body.callback_url ?? '') ?? [];
    const submissionReply = this.pendingReplies.shift() ?? 'accepted';
    this.repliesByTask.set(id, [...(this.repliesByTask.get(id) ?? []), submissionReply]);
    await this.pauseHook(`reply ${submissionReply}`);
    this.replyToSubmission(response, received, id, submissionReply);
  }

  private replyToSubmission(
    response: ServerResponse,
    received: ReceivedRequest,
    id: string,
    submissionReply: UpstreamReply,
  ): void {
    const errorBody = (code: string) => ({
      success: false,
      error: { code, message: 'why' },
      trace_id: 'trace',
    });
    switch (submissionReply) {
      case 'accepted':
        return reply(200, { task_id: `upstream-${id}` })(response, received);
      case 'succeeded':
        return reply(200, this.callbackBody(id, 2))(response, received);
      case 'failed':
        return reply(403, errorBody('forbidden'))(response, received);
      case 'refused':
        return reply(429, errorBody('too_many_requests'))(response, received);
      case 'unknown':
        response.destroy();
    }
  }

  private upstreamTask(upstreamId: string): object {
    const id = upstreamId.replace('upstream-', '');
    const imageCount = this.imageCounts.get(id);
    return {
      id: upstreamId,
      ...(imageCount !== undefined && { finished_at: 1, response: this.callbackBody(id, imageCount) }),
    };
  }

  private callbackBody(id: string, imageCount: ImageCount): object {
    const ids = { task_id: `upstream-${id}`, trace_id: 'trace' };
    if (imageCount === 0) return { success: false, ...ids, error: { code: 'api_error', message: 'why' } };
    const data = Array.from({ length: imageCount }, (_, index) => ({
      image_url: `${this.upstreamServer.url}/${id}/${index}.png`,
    }));
    return { success: true, ...ids, data };
  }
}

const RECORD_STATUS_CHANGES = `
  CREATE TABLE status_changes (
    seq bigserial PRIMARY KEY, task_id uuid NOT NULL, "from" text NOT NULL, "to" text NOT NULL, overdue boolean NOT NULL);
  CREATE FUNCTION record_status_change() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    INSERT INTO status_changes (task_id, "from", "to", overdue)
    VALUES (NEW.id, OLD.status, NEW.status, NEW.deadline_at <= now());
    RETURN NULL;
  END $$;
  CREATE TRIGGER record_status_change AFTER UPDATE ON tasks
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION record_status_change();`;
