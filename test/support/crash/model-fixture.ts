import { mkdtemp, rm } from 'node:fs/promises';
import { type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import sharp from 'sharp';
import { type Caller } from '../../../src/core/access/caller.js';
import { InputRejected, PictureUnavailable, UpstreamPaused } from '../../../src/core/errors.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Ticket } from '../../../src/core/jobs.js';
import { PriceList } from '../../../src/core/billing/prices.js';
import { Signer } from '../../../src/core/access/signer.js';
import { AuditLog } from '../../../src/db/access/audit-repository.js';
import { Allowances } from '../../../src/db/limits/rate-limit-repository.js';
import { Blobs } from '../../../src/db/images/blob-repository.js';
import { Budgets } from '../../../src/db/billing/budget-repository.js';
import { Callbacks } from '../../../src/db/callbacks/callback-repository.js';
import { Database, type Statement } from '../../../src/db/postgres/database.js';
import { Events } from '../../../src/db/events/event-repository.js';
import { Flights } from '../../../src/db/limits/in-flight-repository.js';
import { Images } from '../../../src/db/images/image-repository.js';
import { Leases } from '../../../src/db/postgres/lease-repository.js';
import { LEDGER_DRIFT, type LedgerDrift } from '../../../src/db/billing/ledger-check.js';
import { Tasks } from '../../../src/db/tasks/task-repository.js';
import { EventLog } from '../../../src/event-log/event-log.js';
import { DiskStore } from '../../../src/storage/disk-store.js';
import { AddressGuard } from '../../../src/net/guard.js';
import { HttpClient } from '../../../src/net/http-client.js';
import { AceData } from '../../../src/upstreams/acedata.js';
import { UpstreamGate } from '../../../src/upstreams/upstream-gate.js';
import { Addresses } from '../../../src/services/access/signed-links.js';
import { CallbackInbox } from '../../../src/services/callbacks/callback-inbox.js';
import { Generation } from '../../../src/services/tasks/generation.js';
import { Pictures } from '../../../src/services/images/ingest.js';
import { RateLimits, WINDOW_MS } from '../../../src/services/limits/rate-limits.js';
import { Reconciliation } from '../../../src/services/tasks/reconciliation.js';
import { References } from '../../../src/services/tasks/source-images.js';
import { Results } from '../../../src/services/tasks/results.js';
import { Spending } from '../../../src/services/billing/spending.js';
import { TaskControl } from '../../../src/services/tasks/task-control.js';
import { Peer, type Received, reply } from '../net/http-peer.js';
import { callerWith } from '../access/callers.js';
import { createTestDatabase, type TestDatabase } from '../setup/test-database.js';
import { TicketQueue } from './manual-job-queue.js';

export const REPLIES = ['accepted', 'succeeded', 'failed', 'unknown', 'refused'] as const;
/** What the upstream answers to a submission. */
export type Reply = (typeof REPLIES)[number];
/** How a generation ends: with so many pictures, or (0) with none. */
export type Result = 0 | 1 | 2 | 3;

/** One thing that happens. `on` picks the task or the ticket, counted round. */
export type Command =
  | {
      do:
        | 'run-ticket'
        | 'run-ticket-unreachable'
        | 'run-ticket-paused'
        | 'die-with-ticket'
        | 'die-submitting'
        | 'run-ticket-twice'
        | 'let-time-pass'
        | 'pass-deadline'
        | 'expire'
        | 'cancel'
        | 'retry'
        | 'replay';
      on: number;
    }
  | { do: 'call-back' | 'call-back-twice' | 'reconcile'; on: number; result: Result }
  | { do: 'store'; on: number; attempt: 1 | 8 };

/** Lets a statement or a reply go when its time has come. */
export type Pause = (what: string) => Promise<void>;

const HERE = 'http://darkroom.example';
/** Public, and no name that DNS would be asked for. Nothing is posted there: the world has no deliveries. */
const RECEIVER = 'http://93.184.216.34/hook';
const NOW: Pause = () => Promise.resolve();
/** Every task of the model costs something, and counts in a budget of each kind that never refuses it. */
const PRICES = new PriceList([
  { model: 'flux-dev', perImage: '0.1', currency: 'USD', validFrom: new Date(0) },
]);
const PLENTY = '1000000';
const silent = pino({ level: 'silent' });

/**
 * The real services on a real Postgres, with an upstream that answers as it is told, and tickets that are really in the
 * queue's table, without a queue that runs them: the model decides what runs when. A trigger writes down every change of
 * status, so that the path of a task is known and not concluded.
 */
export class World {
  readonly tasks: Tasks;
  /** The tasks of the present run, and what the upstream was asked for each of them. */
  ids: string[] = [];
  readonly arrivals = new Map<string, Reply[]>();
  /** Who asked for each of them. */
  private readonly callers = new Map<string, Caller>();
  private readonly queue: TicketQueue;
  private replies: Reply[] = [];
  private results = new Map<string, Result>();
  private pause: Pause = NOW;
  private readonly images: Images;
  private readonly inbox: CallbackInbox;
  private readonly control: TaskControl;
  private readonly pictures: Pictures;
  private readonly reconciliation: Reconciliation;
  private readonly generation: Generation;
  private unreachable!: Generation;
  private resting!: Generation;
  private readonly upstreams: AceData[];
  private readonly makeGeneration: (upstream: AceData, gate?: UpstreamGate) => Generation;

  private constructor(
    private readonly database: TestDatabase,
    readonly sql: pg.Pool,
    private readonly db: Database,
    private readonly http: HttpClient,
    private readonly peer: Peer,
    private readonly dataDir: string,
    private readonly picture: Buffer,
    /** Two workspaces, and two end users in one of them. */
    private readonly everybody: readonly Caller[],
  ) {
    this.queue = new TicketQueue(sql);
    const run = db.run.bind(db);
    db.run = async <Row extends object>(statement: Statement, values: unknown[]): Promise<Row[]> => {
      await this.pause(statement.name);
      return run<Row>(statement, values);
    };
    this.tasks = new Tasks(db);
    this.images = new Images(db);
    const callbacks = new Callbacks(db);
    const eventLog = new EventLog(new Events(db), database.url, silent);
    const addresses = new Addresses(new Signer(Buffer.alloc(32, 'x')), HERE, HERE, true, null);
    const options = { token: 'token', mode: 'callback', log: silent } as const;
    const upstream = new AceData({ ...options, baseUrl: peer.url });
    // Nothing listens on port 1.
    this.upstreams = [upstream, new AceData({ ...options, baseUrl: 'http://127.0.0.1:1' })];
    const noDefaults = { key: {}, endUser: {}, workspace: {} };
    const noLimits = new RateLimits(new Allowances(db), new Flights(db), noDefaults, WINDOW_MS, silent);
    const guards = { sources: new AddressGuard(), receivers: new AddressGuard() };
    const results = new Results(this.tasks, eventLog);
    this.makeGeneration = (of, gate = new UpstreamGate(50, silent)) =>
      new Generation(
        this.tasks,
        callbacks,
        results,
        eventLog,
        of,
        gate,
        addresses,
        new References(this.images, addresses, guards),
        new Spending(PRICES, new Budgets(db)),
        noLimits,
        silent,
      );
    this.generation = this.makeGeneration(upstream);
    this.control = new TaskControl(this.tasks, this.generation, eventLog);
    this.inbox = new CallbackInbox(callbacks, this.generation, 30, new AuditLog(db));
    this.pictures = new Pictures(
      this.images,
      new Blobs(db),
      new DiskStore(join(dataDir, 'images')),
      http,
      eventLog,
      1e6,
      silent,
    );
    const leases = new Leases(db);
    this.reconciliation = new Reconciliation(this.tasks, leases, results, eventLog, upstream, silent, 0, 0);
    peer.answer = (response, received) => void this.answer(response, received);
  }

  static async open(): Promise<World> {
    const database = await createTestDatabase();
    const sql = new pg.Pool({ connectionString: database.url, max: 4 });
    const db = new Database({ url: database.url, maxConnections: 10, log: silent });
    const [workspaceId, otherId] = [newId(), newId()];
    await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'model'), ($2, 'other')", [
      workspaceId,
      otherId,
    ]);
    await sql.query(RECORD_CHANGES);
    const green = { width: 8, height: 8, channels: 3, background: 'green' } as const;
    const picture = await sharp({ create: green }).png().toBuffer();
    const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-model-'));
    const peer = await Peer.open(reply(404, {}));
    const caller = callerWith({ workspaceId, keyName: 'model' });
    const other = callerWith({ workspaceId: otherId, keyName: 'model' });
    const everybody = [caller, other, { ...caller, endUserId: 'visitor' }];
    const budgets = new Budgets(db);
    await budgets.set({ workspaceId, scope: 'WORKSPACE', subject: workspaceId }, PLENTY, 'USD');
    await budgets.set({ workspaceId, scope: 'KEY', subject: caller.keyId }, PLENTY, 'USD');
    await budgets.set({ workspaceId, scope: 'END_USER', subject: 'visitor' }, PLENTY, 'USD');
    return new World(database, sql, db, new HttpClient(), peer, dataDir, picture, everybody);
  }

  async close(): Promise<void> {
    await Promise.all(this.upstreams.map((upstream) => upstream.destroy()));
    await this.http.destroy();
    await this.peer.close();
    await this.db.close();
    await this.sql.end();
    await this.database.drop();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  /** Begins a run with fresh tasks; submissions are answered by these replies in turn, then by `accepted`. */
  async begin(taskCount: number, replies: readonly Reply[]): Promise<void> {
    this.ids = [];
    this.replies = [...replies];
    this.results = new Map();
    this.arrivals.clear();
    this.callers.clear();
    await this.queue.clear();
    this.unreachable = this.makeGeneration(this.upstreams[1] as AceData);
    const gate = new UpstreamGate(50, silent);
    for (let times = 0; times < 5; times += 1) await gate.run(() => Promise.resolve('unreachable'));
    this.resting = this.makeGeneration(this.upstreams[0] as AceData, gate);
    for (let n = 0; n < taskCount; n += 1) {
      const wish = { prompt: 'model', model: null, size: null, count: 3, sourceImageUrl: null };
      const rest = { sourceImageId: null, idempotencyKey: null, metadata: null, timeoutSeconds: null };
      const callbackUrl = n % 2 === 0 ? RECEIVER : null;
      const caller = this.everybody[n % this.everybody.length] as Caller;
      const asked = { ...wish, ...rest, callbackUrl };
      const { task } = await this.generation.request(caller, 'GENERATE', asked);
      this.add(task.id, caller);
    }
  }

  /** Does `work` while statements and replies go only when `pause` lets them. */
  async paused(pause: Pause, work: () => Promise<unknown>): Promise<void> {
    this.pause = pause;
    try {
      await work();
    } finally {
      this.pause = NOW;
    }
  }

  private add(id: string, caller: Caller): void {
    this.ids.push(id);
    this.callers.set(id, caller);
  }

  private callerOf(id: string): Caller {
    const caller = this.callers.get(id);
    if (!caller) throw new Error(`Nobody asked for ${id}.`);
    return caller;
  }

  /** What is wrong with the money at this moment, whatever is under way. */
  async ledgerDrift(): Promise<LedgerDrift | undefined> {
    return (await this.sql.query<LedgerDrift>(LEDGER_DRIFT.text)).rows[0];
  }

  /** Lets it happen. Rejects for what a service must never throw. */
  async perform(command: Command): Promise<void> {
    try {
      await this.execute(command);
    } catch (error) {
      const expected = [InputRejected, PictureUnavailable, UpstreamPaused];
      if (!expected.some((kind) => error instanceof kind)) throw error;
    }
  }

  /** Runs tickets until none is left. */
  async runDry(): Promise<void> {
    for (;;) {
      await this.queue.letTimePass();
      const ticket = await this.queue.take(0);
      if (!ticket) return;
      await this.runTicket(ticket, this.generation);
    }
  }

  /** As the queue runs it. */
  private async runTicket(ticket: Ticket, generation: Generation): Promise<void> {
    try {
      await generation.submit(ticket);
    } catch (error) {
      await this.queue.handBack(ticket);
      if (!(error instanceof Error && error.message.includes('another run'))) throw error;
      return;
    }
    await this.queue.complete(ticket);
  }

  /** What time and the queue do in the end: every deadline passes, and every picture is stored or given up. */
  async finish(): Promise<void> {
    await this.sql.query("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = ANY($1)", [
      this.ids,
    ]);
    await this.reconciliation.expire();
    for (const id of this.ids) await this.pictures.storeAll(id, 8);
    while ((await this.sql.query<{ n: number }>('SELECT seal_events(1000) AS n')).rows[0]?.n !== 0);
  }

  private async execute(command: Command): Promise<void> {
    const id = this.ids[command.on % this.ids.length] ?? '';
    switch (command.do) {
      case 'run-ticket':
      case 'run-ticket-unreachable':
      case 'run-ticket-paused': {
        const ticket = await this.queue.take(command.on);
        const at = {
          'run-ticket': this.generation,
          'run-ticket-unreachable': this.unreachable,
          'run-ticket-paused': this.resting,
        };
        if (ticket) await this.runTicket(ticket, at[command.do]);
        return;
      }
      case 'die-with-ticket':
      case 'die-submitting': {
        const ticket = await this.queue.take(command.on);
        if (!ticket) return;
        if (command.do === 'die-submitting')
          await this.tasks.claimTurns([{ ...ticket, submissionId: newId() }]);
        return this.queue.handBack(ticket);
      }
      case 'run-ticket-twice': {
        // A process that was stopped, taken for dead, and goes on.
        const first = await this.queue.take(command.on);
        if (!first) return;
        await this.queue.handBack(first);
        const second = await this.queue.take(command.on);
        const runs = [first, ...(second ? [second] : [])].map((ticket) =>
          this.runTicket(ticket, this.generation),
        );
        await Promise.all(runs);
        return;
      }
      case 'let-time-pass':
        return this.queue.letTimePass();
      case 'expire':
      case 'pass-deadline':
        await this.sql.query("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [
          id,
        ]);
        if (command.do === 'expire') await this.reconciliation.expire();
        return;
      case 'cancel':
        await this.control.cancel(this.callerOf(id), id);
        return;
      case 'retry':
        this.add((await this.control.retry(this.callerOf(id), id, null)).task.id, this.callerOf(id));
        return;
      case 'replay': {
        const text = 'SELECT id FROM callbacks WHERE task_id = $1 ORDER BY id DESC LIMIT 1';
        const [callback] = (await this.sql.query<{ id: string }>(text, [id])).rows;
        if (callback) await this.inbox.replay(this.callerOf(id), callback.id);
        return;
      }
      case 'call-back':
      case 'call-back-twice': {
        const body = Buffer.from(JSON.stringify(this.outcome(id, command.result)));
        const times = command.do === 'call-back' ? 1 : 2;
        const receive = () => this.generation.receive(id, { id: newId(), body });
        await Promise.all(Array.from({ length: times }, receive));
        return;
      }
      case 'reconcile':
        this.results.set(id, command.result);
        return this.reconciliation.reconcile();
      case 'store':
        return this.pictures.storeAll(id, command.attempt);
    }
  }

  /** The upstream: submissions, readings, and pictures, of which those with the index 2 are gone. */
  private async answer(response: ServerResponse, received: Received): Promise<void> {
    if (received.method === 'GET') {
      if (received.path.endsWith('/2.png')) response.writeHead(404).end();
      else response.end(this.picture);
      return;
    }
    const body = JSON.parse(received.body) as { callback_url?: string; ids?: string[] };
    if (received.path === '/flux/tasks') {
      const items = (body.ids ?? []).map((upstreamId) => this.reading(upstreamId));
      reply(200, { items, count: items.length })(response, received);
      return;
    }
    const [, id = ''] = /\/callbacks\/flux\/([^/]+)\//.exec(body.callback_url ?? '') ?? [];
    const kind = this.replies.shift() ?? 'accepted';
    this.arrivals.set(id, [...(this.arrivals.get(id) ?? []), kind]);
    await this.pause(`reply ${kind}`);
    this.answerSubmission(response, received, id, kind);
  }

  private answerSubmission(response: ServerResponse, received: Received, id: string, kind: Reply): void {
    const refusal = (code: string) => ({
      success: false,
      error: { code, message: 'why' },
      trace_id: 'trace',
    });
    switch (kind) {
      case 'accepted':
        return reply(200, { task_id: `upstream-${id}` })(response, received);
      case 'succeeded':
        return reply(200, this.outcome(id, 2))(response, received);
      case 'failed':
        return reply(403, refusal('forbidden'))(response, received);
      case 'refused':
        return reply(429, refusal('too_many_requests'))(response, received);
      case 'unknown':
        response.destroy();
    }
  }

  private reading(upstreamId: string): object {
    const id = upstreamId.replace('upstream-', '');
    const result = this.results.get(id);
    return {
      id: upstreamId,
      ...(result !== undefined && { finished_at: 1, response: this.outcome(id, result) }),
    };
  }

  private outcome(id: string, pictures: Result): object {
    const ids = { task_id: `upstream-${id}`, trace_id: 'trace' };
    if (pictures === 0) return { success: false, ...ids, error: { code: 'api_error', message: 'why' } };
    const data = Array.from({ length: pictures }, (_, index) => ({
      image_url: `${this.peer.url}/${id}/${index}.png`,
    }));
    return { success: true, ...ids, data };
  }
}

const RECORD_CHANGES = `
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
