import { fileURLToPath } from 'node:url';
import { type Config } from '../config/config.js';
import { EventCursorCodec } from '../core/events/event-cursor.js';
import { Signer } from '../core/access/signer.js';
import { Database } from '../db/postgres/database.js';
import { EmbeddedPostgres } from '../db/embedded/embedded-postgres.js';
import { EventRepository } from '../db/events/event-repository.js';
import { ImageRepository } from '../db/images/image-repository.js';
import { migrate } from '../db/postgres/migrate.js';
import { SubmissionPaceRepository } from '../db/tasks/submission-pace-repository.js';
import { TaskRepository } from '../db/tasks/task-repository.js';
import { EventLog } from '../event-log/event-log.js';
import { openStore } from '../storage/open-store.js';
import { SsrfGuard, isPrivateUrl } from '../net/ssrf-guard.js';
import { HttpClient } from '../net/http-client.js';
import { OutgoingProxy } from '../net/outgoing-proxy.js';
import { AceDataClient } from '../upstreams/acedata-client.js';
import { UpstreamGate } from '../upstreams/upstream-gate.js';
import { loadOrCreateSecretKey } from '../config/secret-key.js';
import { type AppContext, CLEANUP_TIMEOUT_MS, stopWithin } from './app-context.js';

/** Requests and tasks share the pool. Ten connections keep two cores of PostgreSQL busy, and 20 leave headroom. */
export const MAX_DATABASE_CONNECTIONS = 20;
/** Work that no request or task depends on has connections of its own: deleting by age, unused blobs, reports, webhooks. */
export const MAX_BACKGROUND_CONNECTIONS = 4;

/** The objects of the layers below the services. */
export type Adapters = Awaited<ReturnType<typeof startAdapters>>;

/** Opens and migrates the database, and creates the adapters and the repositories that they need. */
export async function startAdapters(context: AppContext) {
  const { config, log, tuning, cleanups, url } = context;
  const usesSandbox = config.flux.token === null;
  const signer = new Signer(
    config.secretKey ?? (await loadOrCreateSecretKey(config.dataDir)),
    config.previousSecretKeys,
  );
  const databaseUrl = config.databaseUrl ?? (await startEmbeddedPostgres(context));
  await migrate({ databaseUrl, migrationsDir: migrationsDir(), log });
  const db = new Database({ url: databaseUrl, maxConnections: MAX_DATABASE_CONNECTIONS, log });
  cleanups.push(() => stopWithin(CLEANUP_TIMEOUT_MS, 'the database connections', db.close()));
  await db.readClock();
  await db.hasRowSecurity();
  const backgroundDb = new Database({ url: databaseUrl, maxConnections: MAX_BACKGROUND_CONNECTIONS, log });
  cleanups.push(() => stopWithin(CLEANUP_TIMEOUT_MS, 'the background connections', backgroundDb.close()));
  const tasks = new TaskRepository(db);
  const images = new ImageRepository(db);
  const events = new EventRepository(db);

  const eventLog = new EventLog(events, databaseUrl, log);
  if (tuning.push !== false) await eventLog.start({ onFatal: tuning.onFatal });
  cleanups.push(() => stopWithin(CLEANUP_TIMEOUT_MS, 'the event log', eventLog.stop()));
  const sourceImageGuard = createSourceImageGuard(config, usesSandbox ? url : config.flux.baseUrl);
  if (config.images.allowPrivateHosts.length > 0) {
    log.warn(
      { hosts: config.images.allowPrivateHosts },
      'ALLOW_PRIVATE_HOSTS lets requests reach these hosts at private addresses',
    );
  }
  const proxy = new OutgoingProxy(config.proxy);
  cleanups.push(() => proxy.destroy());
  const http = new HttpClient({ guard: sourceImageGuard, proxy });
  cleanups.push(() => http.destroy());
  // Unlike source images, webhooks must not reach an upstream at a private address.
  const webhookGuard = new SsrfGuard({ allowPrivateHosts: config.images.allowPrivateHosts });
  const webhookHttp = new HttpClient({ guard: webhookGuard, proxy });
  cleanups.push(() => webhookHttp.destroy());
  const upstream = new AceDataClient({
    baseUrl: usesSandbox ? `${url}/sandbox` : config.flux.baseUrl,
    token: config.flux.token ?? 'sandbox',
    mode: config.flux.mode,
    editAction: config.flux.editAction ?? undefined,
    proxy,
    log,
  });
  cleanups.push(() => upstream.destroy());
  const upstreamGate = new UpstreamGate(config.flux.maxConcurrentSubmissions, log);
  const store = await openStore(config.dataDir, config.images.s3);
  cleanups.push(() => store.destroy?.());

  const cursors = new EventCursorCodec(signer, await events.logId());
  const urlGuards = { sourceImages: sourceImageGuard, webhooks: webhookGuard };
  const repositories = { tasks, images, events, submissionPace: new SubmissionPaceRepository(db) };
  return {
    usesSandbox,
    signer,
    db,
    backgroundDb,
    ...repositories,
    eventLog,
    urlGuards,
    http,
    webhookHttp,
    upstream,
    upstreamGate,
    store,
    cursors,
  };
}

/** An upstream at a private address, such as the sandbox, may serve its images from there as well. */
function createSourceImageGuard({ images: { allowPrivateHosts } }: Config, upstreamUrl: string): SsrfGuard {
  const { protocol, hostname, port } = new URL(upstreamUrl);
  const upstreamHost = `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
  return new SsrfGuard({
    allowPrivateHosts: isPrivateUrl(upstreamUrl) ? [...allowPrivateHosts, upstreamHost] : allowPrivateHosts,
  });
}

async function startEmbeddedPostgres({ config, log, tuning, cleanups }: AppContext): Promise<string> {
  const embeddedPostgres = await EmbeddedPostgres.start({
    dataDir: config.dataDir,
    log,
    durable: tuning.durable,
  });
  cleanups.push(() => embeddedPostgres.stop());
  embeddedPostgres.onExit(() => tuning.onFatal?.('the embedded PostgreSQL exited'));
  return embeddedPostgres.url;
}

/** The sources are in `src/`, and the build is in `dist/src/` of the same folder. */
function migrationsDir(): string {
  const root = import.meta.url.endsWith('.ts') ? '../..' : '../../..';
  return fileURLToPath(new URL(`${root}/prisma/migrations`, import.meta.url));
}
