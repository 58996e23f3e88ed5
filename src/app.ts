import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Logger } from 'pino';
import { type Config } from './config.js';
import { EventCursors } from './core/cursor.js';
import { UPSTREAM_FLAG } from './core/jobs.js';
import { PriceList } from './core/prices.js';
import { Signer } from './core/signature.js';
import { clientAddressReader } from './core/client-address.js';
import { Allowances } from './db/allowances.js';
import { ApiKeys } from './db/api-keys.js';
import { AuditLog } from './db/audit-log.js';
import { Blobs } from './db/blobs.js';
import { Budgets } from './db/budgets.js';
import { Callbacks } from './db/callbacks.js';
import { Database } from './db/database.js';
import { EmbeddedPostgres } from './db/embedded.js';
import { Events } from './db/events.js';
import { Flights } from './db/flights.js';
import { Images } from './db/images.js';
import { Instances } from './db/instances.js';
import { Leases } from './db/leases.js';
import { migrate } from './db/migrate.js';
import { OutgoingCallbacks } from './db/outgoing-callbacks.js';
import { Tasks } from './db/tasks.js';
import { Uploads } from './db/uploads.js';
import { Workspaces } from './db/workspaces.js';
import { Feed } from './events/feed.js';
import { EventLog } from './events/log.js';
import { serveGraphqlOverHttp } from './graphql/apollo.js';
import { contextMaker } from './graphql/context.js';
import { Operations } from './graphql/operations.js';
import { makeSchema } from './graphql/schema.js';
import { Subscriptions } from './graphql/subscriptions.js';
import { serveGraphqlOverWebSocket } from './graphql/websocket.js';
import { EventStreams } from './http/event-streams.js';
import { fluxRoutes } from './http/flux.js';
import { isForGraphql, mountGraphql } from './http/graphql-mount.js';
import { close, listen, localUrl } from './http/listening.js';
import { makeHttpApp } from './http/server.js';
import { openStore } from './images/open-store.js';
import { jobHandlers } from './jobs/handlers.js';
import { AddressGuard, isPrivateUrl } from './net/guard.js';
import { HttpClient } from './net/http-client.js';
import { AceData } from './providers/acedata.js';
import { UpstreamGate } from './providers/upstream-gate.js';
import { Heartbeat } from './queue/heartbeat.js';
import { Worker } from './queue/worker.js';
import { Sandbox } from './sandbox/sandbox.js';
import { keepSecretKey } from './secret-key.js';
import { Access } from './services/access.js';
import { Addresses } from './services/addresses.js';
import { Audit } from './services/audit.js';
import { Budgeting } from './services/budgeting.js';
import { Connections } from './services/connections.js';
import { ClientTokens } from './services/client-tokens.js';
import { CallbackInbox } from './services/callback-inbox.js';
import { ATTEMPT_TIMEOUT_MS, Delivering } from './services/delivering.js';
import { RETRY_DELAYS_MS } from './services/delivery-end.js';
import { FluxApi } from './services/flux-api.js';
import { Forgetting } from './services/forgetting.js';
import { Generation } from './services/generation.js';
import { Health } from './services/health.js';
import { History } from './services/history.js';
import { KeyAdministration } from './services/key-administration.js';
import { KeyUse } from './services/key-use.js';
import { IdentityProvider } from './services/identity-provider.js';
import { PictureServing } from './services/picture-serving.js';
import { Pictures } from './services/pictures.js';
import { ProviderKeys } from './services/provider-keys.js';
import { RateLimits, WINDOW_MS } from './services/rate-limits.js';
import { Reconciliation } from './services/reconciliation.js';
import { SignInFailures } from './services/sign-in-failures.js';
import { Spending } from './services/spending.js';
import { TaskControl } from './services/task-control.js';
import { TokenSigning } from './services/token-signing.js';
import { Uploading } from './services/uploading.js';
import { Waiting } from './services/waiting.js';
import { Usage } from './services/usage.js';
import { Watching } from './services/watching.js';
import { WebhookSecrets } from './services/webhook-secrets.js';

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
  /** From one look for overdue and unanswered tasks, and for callbacks that are due, to the next; default 1 s. */
  reconcileEveryMs?: number;
  /** How long a sandbox picture takes; default 1.5 s. */
  sandboxDelayMs?: number;
  /** Milliseconds between the attempts to deliver a callback; default 5 s to 10 h, seven of them. */
  deliveryDelaysMs?: readonly number[];
  /** How long a receiver has for its answer; default 15 s. */
  deliveryTimeoutMs?: number;
  /** How often bytes that no image has any more are looked for; default 1 min. */
  sweepEveryMs?: number;
  /** How long the network of a watcher may take nothing before it is closed; default 30 s. */
  stallMs?: number;
  /** How long a request of the Flux API waits for its pictures; default a little less than 5 min. */
  fluxWaitMs?: number;
  /** From one look for an unknown key of the identity provider to the next; default 10 s. */
  providerCooldownMs?: number;
  /** How long failed sign-ins are counted before a row is written; default 1 min. */
  signInWindowMs?: number;
  /** What limits a minute count in; default a minute. */
  limitWindowMs?: number;
  /** False: events are neither sealed nor pushed. For the bench that asks what pushing costs. */
  push?: false;
  /** False: the embedded Postgres does not wait for the disk. */
  durable?: boolean;
  /** Told when the embedded Postgres ended by itself; nothing works from then on. */
  onFailure?: (reason: string) => void;
}

/** Where there is no PUBLIC_URL: the same on every instance. */
const TOKEN_ISSUER = 'darkroom';
/** Requests and jobs share them. Ten are enough to keep two cores of Postgres busy. */
const DATABASE_CONNECTIONS = 20;
/** Beside PUSH_BUFFER_EVENTS: an event is 1 kB as a rule and can be more. */
const PUSH_BUFFER_BYTES = 1024 * 1024;
/** Node's own fetch gives up after 5 min: just before, the answer can still bring the task's id. */
const FLUX_WAIT_MS = 295_000;
/** Retention is in days. */
const FORGET_EVERY_MS = 3_600_000;
const SWEEP_EVERY_MS = 60_000;
/** A fifth of the shortest wait between two attempts. */
const DELIVER_EVERY_MS = 1_000;
/** Besides those that wait for the upstream: pictures being stored, mostly. */
const OTHER_JOBS_AT_ONCE = 8;

/**
 * At the end Postgres may be away for good, or never answer. So long what asks it may take: all of it together, with the 6 s
 * of running jobs and the 3.5 s of sockets, stays below the 15 s after which main.ts ends the process with an error.
 */
const ANSWER_MS = 1_000;
const WORKER_STOP_MS = 7_000;

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

  const signer = new Signer(config.secretKey ?? (await keepSecretKey(config.dataDir)), config.oldSecretKeys);
  const databaseUrl = config.databaseUrl ?? (await startEmbedded(config, log, tuning, releases));
  await migrate({ databaseUrl, migrationsDir: migrationsDir(), log });
  const db = new Database({ url: databaseUrl, maxConnections: DATABASE_CONNECTIONS, log });
  releases.push(() => atMost(ANSWER_MS, 'the database connections', db.close()));
  const tasks = new Tasks(db);
  const images = new Images(db);
  const events = new Events(db);

  const eventLog = new EventLog(events, databaseUrl, log);
  if (tuning.push !== false) await eventLog.start();
  releases.push(() => atMost(ANSWER_MS, 'the event log', eventLog.stop()));
  const guard = guardOf(config, usesSandbox ? url : config.flux.baseUrl);
  if (config.images.allowPrivateHosts.length > 0) {
    log.warn(
      { hosts: config.images.allowPrivateHosts },
      'ALLOW_PRIVATE_HOSTS: private addresses can be fetched from',
    );
  }
  const http = new HttpClient({ guard });
  releases.push(() => http.destroy());
  // Not to the upstream, even where that is in our own network.
  const receivers = new AddressGuard({ allowPrivateHosts: config.images.allowPrivateHosts });
  const receiverHttp = new HttpClient({ guard: receivers });
  releases.push(() => receiverHttp.destroy());
  const upstream = new AceData({
    baseUrl: usesSandbox ? `${url}/sandbox` : config.flux.baseUrl,
    token: config.flux.token ?? 'sandbox',
    mode: config.flux.mode,
    editAction: config.flux.editAction ?? undefined,
    log,
  });
  releases.push(() => upstream.destroy());
  const gate = new UpstreamGate(config.flux.concurrency, log);
  const store = await openStore(config.dataDir, config.images.s3);
  releases.push(() => store.destroy?.());

  const cursors = new EventCursors(signer, await events.logId());
  const { publicUrl, images: pictureConfig } = config;
  const upstreamFetches = usesSandbox || isPrivateUrl(config.flux.baseUrl) || !isPrivateUrl(publicUrl ?? url);
  const addresses = new Addresses(
    signer,
    publicUrl ?? url,
    usesSandbox ? url : publicUrl,
    upstreamFetches,
    pictureConfig.linkSeconds,
  );
  const callbacks = new Callbacks(db);
  const prices = new PriceList(config.prices);
  const budgets = new Budgets(db);
  const rateLimits = new RateLimits(
    new Allowances(db),
    new Flights(db),
    config.limits,
    tuning.limitWindowMs ?? WINDOW_MS,
    log,
  );
  const generation = new Generation(
    tasks,
    images,
    callbacks,
    eventLog,
    upstream,
    gate,
    addresses,
    { sources: guard, receivers },
    new Spending(prices, budgets),
    rateLimits,
    log,
  );
  const control = new TaskControl(tasks, generation, eventLog);
  const outgoing = new OutgoingCallbacks(db);
  const workspaces = new Workspaces(db);
  const auditLog = new AuditLog(db);
  const webhookSecrets = new WebhookSecrets(signer, workspaces);
  const delivering = new Delivering(
    outgoing,
    tasks,
    images,
    webhookSecrets,
    receiverHttp,
    addresses,
    eventLog,
    log,
    {
      delays: tuning.deliveryDelaysMs ?? RETRY_DELAYS_MS,
      timeoutMs: tuning.deliveryTimeoutMs ?? ATTEMPT_TIMEOUT_MS,
    },
  );
  const inbox = new CallbackInbox(callbacks, generation, config.callbackRetentionDays, auditLog);
  const blobs = new Blobs(db);
  const { maxBytes } = pictureConfig;
  const pictures = new Pictures(images, blobs, store, http, eventLog, maxBytes, log);
  const redirects = pictureConfig.s3?.redirects ?? false;
  const pictureServing = new PictureServing(images, pictures, store, addresses, redirects);
  const uploading = new Uploading(new Uploads(db), images, blobs, store, addresses, maxBytes);
  const forgetting = new Forgetting(images, blobs, store, eventLog, pictureConfig.retentionDays, log);
  await forgetting.cleanUp();
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
  const keyUse = new KeyUse(apiKeys, log);
  const signInFailures = new SignInFailures(auditLog, log, tuning.signInWindowMs);
  const tokenSigning = new TokenSigning(signer, publicUrl ?? TOKEN_ISSUER);
  const { oidc } = config;
  const providerKeys = oidc && new ProviderKeys(oidc.issuer, log, tuning.providerCooldownMs);
  const provider = oidc && providerKeys && new IdentityProvider(oidc, providerKeys, workspaces);
  // Not waited for: it may be away, and keys work without it.
  void providerKeys?.prepare();
  const access = new Access(apiKeys, tokenSigning, keyUse, signInFailures, provider);
  const connections = new Connections(apiKeys, access, push.connectionsPerKey, rateLimits, log);
  releases.push(() =>
    atMost(
      ANSWER_MS,
      'the look at keys, and what is noted of them',
      Promise.all([connections.stop(), keyUse.stop(), signInFailures.stop()]),
    ),
  );
  const firstKey = await access.makeFirstKey();

  const instances = new Instances(db);
  let worker: Worker | null = null;
  if (config.roles.worker) {
    worker = new Worker({
      heartbeat: new Heartbeat(instances, log),
      instances,
      pool: db.pool,
      handlers: jobHandlers({
        generation,
        pictures,
        reconciliation,
        delivering,
        inbox,
        forgetting,
        uploading,
      }),
      recurring: {
        'reconcile-tasks': tuning.reconcileEveryMs ?? 1_000,
        'deliver-callbacks': tuning.reconcileEveryMs ?? DELIVER_EVERY_MS,
        'forget-callbacks': FORGET_EVERY_MS,
        'forget-pictures': FORGET_EVERY_MS,
        'sweep-store': tuning.sweepEveryMs ?? SWEEP_EVERY_MS,
      },
      skip: () => (gate.isShut ? [UPSTREAM_FLAG] : []),
      concurrency: config.flux.concurrency + OTHER_JOBS_AT_ONCE,
      log,
    });
  }
  const budgeting = new Budgeting(budgets, apiKeys, prices, auditLog);
  const usage = new Usage(db);
  const health = new Health(db, gate, store, worker);

  const schema = await makeSchema({
    generation,
    control,
    inbox,
    history,
    addresses,
    uploading,
    forgetting,
    delivering,
    webhookSecrets,
    keyAdministration: new KeyAdministration(apiKeys, workspaces),
    audit: new Audit(auditLog),
    clientTokens: new ClientTokens(tokenSigning, tasks, auditLog),
    budgeting,
    usage,
  });
  const addressOf = clientAddressReader(config.trustedProxies);
  const makeContext = contextMaker(history, watching);
  const { operationsPerRequest, ...rules } = config.graphql;
  const operations = new Operations(schema, rules);
  const graphql = await serveGraphqlOverHttp(
    schema,
    operations,
    makeContext,
    rateLimits,
    operationsPerRequest,
    log,
  );
  releases.push(() => graphql.stop());
  const subscriptions = new Subscriptions(schema, operations, makeContext, watching, rateLimits, log);
  const sockets = serveGraphqlOverWebSocket(
    { subscriptions, access, connections, addressOf, log },
    push.allowedOrigins,
  );
  const waiting = new Waiting(connections, watching, tuning.fluxWaitMs ?? FLUX_WAIT_MS);
  const flux = fluxRoutes(
    { access, addressOf, rateLimits },
    new FluxApi(generation, history, addresses),
    waiting,
  );
  const startOperation = subscriptions.start.bind(subscriptions);
  const eventStreams = new EventStreams({
    access,
    connections,
    watching,
    rateLimits,
    startOperation,
    addressOf,
  });
  const extra = [];
  if (usesSandbox) {
    const sandbox = new Sandbox({ publicUrl: () => `${url}/sandbox`, log, delayMs: tuning.sandboxDelayMs });
    releases.push(() => sandbox.close());
    extra.push({ path: '/sandbox', handler: sandbox.router });
  }
  const { allowedOrigins } = push;
  const maxImageBytes = maxBytes;
  const pictureDoors = { pictures: pictureServing, uploading, maxImageBytes };
  const doors = {
    access,
    tokenSigning,
    addressOf,
    addresses,
    allowedOrigins,
    eventStreams,
    generation,
    health,
    usage,
    ...pictureDoors,
  };
  const app = makeHttpApp({ ...doors, flux, extra, log }, config.roles);
  const graphqlDoor = { access, addressOf, graphql: graphql.answer, allowedOrigins, log };
  const graphqlMount = mountGraphql(graphqlDoor);
  server.removeAllListeners('request');
  server.on('request', (request, response) => {
    if (config.roles.api && isForGraphql(request)) graphqlMount(request, response);
    else app(request, response);
  });
  server.on('upgrade', (request, socket, head) => {
    if (config.roles.api) sockets.upgrade(request, socket, head);
    else socket.destroy();
  });
  releases.push(() => Promise.all([close(server), sockets.stop(), eventStreams.stop(), waiting.stop()]));
  if (worker) {
    const started = worker;
    releases.push(() =>
      Promise.all([
        atMost(WORKER_STOP_MS, 'the queue', started.stop()),
        atMost(WORKER_STOP_MS, 'callbacks under way', delivering.stop()),
      ]),
    );
    await started.start();
  }
  releases.push(() => health.startDraining());
  return { url, firstKey };
}

/** Rejects when the work takes longer; then it is left to itself. */
async function atMost(ms: number, what: string, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not end within ${ms} ms`)), ms);
  });
  await Promise.race([work, tooLate]).finally(() => clearTimeout(timer));
}

/** An upstream that the operator has put into the own network, such as the sandbox, may have its pictures there too. */
function guardOf({ images: { allowPrivateHosts } }: Config, upstreamUrl: string): AddressGuard {
  const { protocol, hostname, port } = new URL(upstreamUrl);
  const upstream = `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
  return new AddressGuard({
    allowPrivateHosts: isPrivateUrl(upstreamUrl) ? [...allowPrivateHosts, upstream] : allowPrivateHosts,
  });
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

/** Beside the sources and beside the build alike: the nearest `prisma` folder above this file. */
function migrationsDir(): string {
  const here = fileURLToPath(import.meta.url);
  const root = here.replace(/(\/dist)?\/src\/app\.[jt]s$/, '');
  return join(root, 'prisma', 'migrations');
}
