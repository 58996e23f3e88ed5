import { createServer, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Logger } from 'pino';
import { type Config } from './config.js';
import { EventCursors } from './core/cursor.js';
import { ConfigInvalid } from './core/errors.js';
import { UPSTREAM_FLAG } from './core/jobs.js';
import { Signer } from './core/signature.js';
import { ApiKeys } from './db/api-keys.js';
import { Callbacks } from './db/callbacks.js';
import { Database } from './db/database.js';
import { EmbeddedPostgres } from './db/embedded.js';
import { Events } from './db/events.js';
import { Images } from './db/images.js';
import { Instances } from './db/instances.js';
import { Leases } from './db/leases.js';
import { migrate } from './db/migrate.js';
import { Tasks } from './db/tasks.js';
import { Feed } from './events/feed.js';
import { EventLog } from './events/log.js';
import { serveGraphqlOverHttp } from './graphql/apollo.js';
import { contextMaker } from './graphql/context.js';
import { makeSchema } from './graphql/schema.js';
import { Subscriptions } from './graphql/subscriptions.js';
import { serveGraphqlOverWebSocket } from './graphql/websocket.js';
import { EventStreams } from './http/event-streams.js';
import { makeHttpApp } from './http/server.js';
import { DiskStore } from './images/disk-store.js';
import { jobHandlers } from './jobs/handlers.js';
import { HttpClient } from './net/http-client.js';
import { AceData } from './providers/acedata.js';
import { UpstreamGate } from './providers/upstream-gate.js';
import { Heartbeat } from './queue/heartbeat.js';
import { Worker } from './queue/worker.js';
import { Sandbox } from './sandbox/sandbox.js';
import { keepSecretKey } from './secret-key.js';
import { Access } from './services/access.js';
import { Addresses } from './services/addresses.js';
import { Connections } from './services/connections.js';
import { CallbackInbox } from './services/callback-inbox.js';
import { Generation } from './services/generation.js';
import { Health } from './services/health.js';
import { History } from './services/history.js';
import { Pictures } from './services/pictures.js';
import { Reconciliation } from './services/reconciliation.js';
import { TaskControl } from './services/task-control.js';
import { Watching } from './services/watching.js';

export interface App {
  /** Where it listens on this machine, without a slash at the end. */
  url: string;
  /** The first key of a new installation, this once; null where there was one already. */
  firstKey: string | null;
  /** Takes no new requests, lets the ones under way end, hands jobs back, and releases everything, within 15 s. */
  stop(): Promise<void>;
}

/** What tests, the demo and main set, and operators do not. */
export interface Tuning {
  /** A running task is asked about after this long; default 10 s. */
  askUpstreamAfterMs?: number;
  /** From one look for overdue and unanswered tasks to the next; default 1 s, the upstream's limit for reading. */
  reconcileEveryMs?: number;
  /** How long a sandbox picture takes; default 1.5 s. */
  sandboxDelayMs?: number;
  /** How long the network of a watcher may take nothing before it is closed; default 30 s. */
  stallMs?: number;
  /** False: events are neither sealed nor pushed. For the bench that asks what pushing costs. */
  push?: false;
  /** False: the embedded Postgres does not wait for the disk. */
  durable?: boolean;
  /** Told when the embedded Postgres ended by itself; nothing works from then on. */
  onFailure?: (reason: string) => void;
}

/** Requests and jobs share them. Ten are enough to keep two cores of Postgres busy. */
const DATABASE_CONNECTIONS = 20;
/** Beside PUSH_BUFFER_EVENTS: an event is 1 kB as a rule and can be more. */
const PUSH_BUFFER_BYTES = 1024 * 1024;
const NOTHING_HERE = 'HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n';
/** ALLOWED_ORIGINS does not have it. */
const ORIGIN_REFUSED = 'HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n';
/** Retention is in days. */
const FORGET_EVERY_MS = 3_600_000;
/** Besides those that wait for the upstream: pictures being stored, mostly. */
const OTHER_JOBS_AT_ONCE = 8;
/** Connections that the kernel keeps until we take them: Node's 511 are too few when thousands come back at once. */
const BACKLOG = 4_096;
/** Requests that have not ended by then are cut, so that the whole of `stop` fits into 15 s. */
const CLOSE_GRACE_MS = 3_000;

/** Builds every object once, bottom floor first, and starts it. What was started is released in reverse, also on failure. */
export async function startApp(config: Config, log: Logger, tuning: Tuning = {}): Promise<App> {
  const releases: (() => Promise<unknown> | void)[] = [];
  const stop = async () => {
    for (const release of releases.splice(0).reverse()) {
      await Promise.resolve(release()).catch((error: unknown) =>
        log.error({ err: error }, 'releasing failed'),
      );
    }
  };
  try {
    const started = await build(config, log, tuning, releases);
    let stopping: Promise<void> | null = null;
    return { ...started, stop: () => (stopping ??= stop()) };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function build(
  config: Config,
  log: Logger,
  tuning: Tuning,
  releases: (() => Promise<unknown> | void)[],
): Promise<Omit<App, 'stop'>> {
  const server = createServer();
  await listen(server, config);
  releases.push(() => close(server));
  const url = localUrl(server, config);
  const usesSandbox = config.flux.token === null;

  const signer = new Signer(config.secretKey ?? (await keepSecretKey(config.dataDir)));
  const databaseUrl = config.databaseUrl ?? (await startEmbedded(config, log, tuning, releases));
  await migrate({ databaseUrl, migrationsDir: migrationsDir(), log });
  const db = new Database({ url: databaseUrl, maxConnections: DATABASE_CONNECTIONS, log });
  releases.push(() => db.close());
  const tasks = new Tasks(db);
  const images = new Images(db);
  const events = new Events(db);

  const eventLog = new EventLog(events, databaseUrl, log);
  if (tuning.push !== false) await eventLog.start();
  releases.push(() => eventLog.stop());
  const http = new HttpClient();
  releases.push(() => http.destroy());
  const upstream = new AceData({
    baseUrl: usesSandbox ? `${url}/sandbox` : config.flux.baseUrl,
    token: config.flux.token ?? 'sandbox',
    mode: config.flux.mode,
    editAction: config.flux.editAction ?? undefined,
    log,
  });
  releases.push(() => upstream.destroy());
  const gate = new UpstreamGate(config.flux.concurrency, log);
  const store = new DiskStore(join(config.dataDir, 'images'));

  const cursors = new EventCursors(signer, await events.logId());
  const addresses = new Addresses(signer, config.publicUrl ?? url, usesSandbox ? url : config.publicUrl);
  const callbacks = new Callbacks(db);
  const generation = new Generation(tasks, images, callbacks, eventLog, upstream, gate, addresses, log);
  const control = new TaskControl(tasks, generation, eventLog);
  const inbox = new CallbackInbox(callbacks, generation, config.callbackRetentionDays);
  const pictures = new Pictures(images, store, http, eventLog, log);
  const reconciliation = new Reconciliation(
    tasks,
    new Leases(db),
    generation,
    eventLog,
    upstream,
    log,
    tuning.askUpstreamAfterMs ?? 10_000,
    tuning.reconcileEveryMs ?? 1_000,
  );
  const history = new History(db, tasks, images, events, cursors);
  const { push } = config;
  const feedOptions = {
    cursors,
    buffering: { maxEvents: push.bufferEvents, maxBytes: PUSH_BUFFER_BYTES },
    stallMs: tuning.stallMs ?? 30_000,
  };
  const feed = new Feed(eventLog, events, feedOptions, log);
  const watching = new Watching(events, eventLog, feed, cursors, push.replayDays);
  const apiKeys = new ApiKeys(db);
  const access = new Access(apiKeys);
  const connections = new Connections(apiKeys, access, push.connectionsPerKey, log);
  releases.push(() => connections.stop());
  const firstKey = await access.makeFirstKey();

  const instances = new Instances(db);
  let worker: Worker | null = null;
  if (config.roles.worker) {
    worker = new Worker({
      heartbeat: new Heartbeat(instances, log),
      instances,
      pool: db.pool,
      handlers: jobHandlers(generation, pictures, reconciliation, inbox),
      recurring: {
        'reconcile-tasks': tuning.reconcileEveryMs ?? 1_000,
        'forget-callbacks': FORGET_EVERY_MS,
      },
      skip: () => (gate.isShut ? [UPSTREAM_FLAG] : []),
      concurrency: config.flux.concurrency + OTHER_JOBS_AT_ONCE,
      log,
    });
  }
  const health = new Health(db, gate, worker);

  const schema = await makeSchema({ generation, control, inbox, history, addresses });
  const makeContext = contextMaker(history, watching);
  const graphql = await serveGraphqlOverHttp(schema, makeContext, log);
  releases.push(() => graphql.stop());
  const subscriptions = new Subscriptions(schema, makeContext, watching, log);
  const sockets = serveGraphqlOverWebSocket(subscriptions, access, connections, log);
  const startOperation = subscriptions.start.bind(subscriptions);
  const eventStreams = new EventStreams({ access, connections, watching, startOperation });
  const extra = [];
  if (usesSandbox) {
    const sandbox = new Sandbox({ publicUrl: () => `${url}/sandbox`, log, delayMs: tuning.sandboxDelayMs });
    releases.push(() => sandbox.close());
    extra.push({ path: '/sandbox', handler: sandbox.router });
  }
  const { allowedOrigins } = push;
  const doors = { access, addresses, allowedOrigins, eventStreams, generation, health, pictures };
  server.removeAllListeners('request');
  server.on('request', makeHttpApp({ ...doors, graphql: graphql.handler, extra, log }, config.roles));
  server.on('upgrade', (request, socket, head) => {
    const { origin } = request.headers;
    if (!config.roles.api || request.url?.split('?')[0] !== '/graphql') socket.end(NOTHING_HERE);
    else if (origin && allowedOrigins && !allowedOrigins.includes(origin)) socket.end(ORIGIN_REFUSED);
    else sockets.upgrade(request, socket, head);
  });
  releases.push(() => Promise.all([close(server), sockets.stop(), eventStreams.stop()]));
  if (worker) {
    const started = worker;
    releases.push(() => started.stop());
    await started.start();
  }
  releases.push(() => health.startDraining());
  return { url, firstKey };
}

async function startEmbedded(
  config: Config,
  log: Logger,
  tuning: Tuning,
  releases: (() => Promise<unknown> | void)[],
): Promise<string> {
  const embedded = await EmbeddedPostgres.start({ dataDir: config.dataDir, log, durable: tuning.durable });
  releases.push(() => embedded.stop());
  embedded.onExit(() => tuning.onFailure?.('the embedded Postgres ended by itself'));
  return embedded.url;
}

/** Listens from the start, so that the port is known and a second instance fails at once; requests are told to wait. */
async function listen(server: Server, config: Config): Promise<void> {
  server.on('request', (_request, response) => {
    response.writeHead(503, { 'retry-after': '1' }).end('Starting.\n');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') return reject(error);
      reject(
        new ConfigInvalid(
          `Port ${config.port} is in use. Set PORT to another one, or end what listens there.`,
        ),
      );
    });
    server.listen({ port: config.port, host: config.host, backlog: BACKLOG }, resolve);
  });
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise((resolve) => server.close(resolve));
  const cut = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  server.closeIdleConnections();
  await closed;
  clearTimeout(cut);
}

function localUrl(server: Server, config: Config): string {
  const { port } = server.address() as AddressInfo;
  const host = ['0.0.0.0', '::'].includes(config.host) ? '127.0.0.1' : config.host;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Beside the sources and beside the build alike: the nearest `prisma` folder above this file. */
function migrationsDir(): string {
  const here = fileURLToPath(import.meta.url);
  const root = here.replace(/(\/dist)?\/src\/app\.[jt]s$/, '');
  return join(root, 'prisma', 'migrations');
}
