import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Config } from '../config/config.js';
import { EventCursors } from '../core/events/event-cursor.js';
import { Signer } from '../core/access/signer.js';
import { Database } from '../db/postgres/database.js';
import { EmbeddedPostgres } from '../db/embedded/embedded-postgres.js';
import { Events } from '../db/events/event-repository.js';
import { Images } from '../db/images/image-repository.js';
import { migrate } from '../db/postgres/migrate.js';
import { Tasks } from '../db/tasks/task-repository.js';
import { EventLog } from '../event-log/event-log.js';
import { openStore } from '../storage/open-store.js';
import { AddressGuard, isPrivateUrl } from '../net/guard.js';
import { HttpClient } from '../net/http-client.js';
import { AceData } from '../upstreams/acedata.js';
import { UpstreamGate } from '../upstreams/upstream-gate.js';
import { keepSecretKey } from '../config/secret-key.js';
import { ANSWER_MS, atMost } from './releases.js';
import { type Start } from './start.js';

/** Requests and jobs share them. Ten are enough to keep two cores of Postgres busy. */
const DATABASE_CONNECTIONS = 20;

/** What the story is told with. */
export type Machines = Awaited<ReturnType<typeof startMachines>>;

/** Opens the database, migrates it, and builds what knows no neighbour. */
export async function startMachines(start: Start) {
  const { config, log, tuning, releases, url } = start;
  const usesSandbox = config.flux.token === null;
  const signer = new Signer(config.secretKey ?? (await keepSecretKey(config.dataDir)), config.oldSecretKeys);
  const databaseUrl = config.databaseUrl ?? (await startEmbedded(start));
  await migrate({ databaseUrl, migrationsDir: migrationsDir(), log });
  const db = new Database({ url: databaseUrl, maxConnections: DATABASE_CONNECTIONS, log });
  releases.push(() => atMost(ANSWER_MS, 'the database connections', db.close()));
  await db.holdCallers();
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
  const guards = { sources: guard, receivers };
  const rows = { tasks, images, events };
  return {
    usesSandbox,
    signer,
    db,
    ...rows,
    eventLog,
    guards,
    http,
    receiverHttp,
    upstream,
    gate,
    store,
    cursors,
  };
}

/** An upstream that the operator has put into the own network, such as the sandbox, may have its pictures there too. */
function guardOf({ images: { allowPrivateHosts } }: Config, upstreamUrl: string): AddressGuard {
  const { protocol, hostname, port } = new URL(upstreamUrl);
  const upstream = `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
  return new AddressGuard({
    allowPrivateHosts: isPrivateUrl(upstreamUrl) ? [...allowPrivateHosts, upstream] : allowPrivateHosts,
  });
}

async function startEmbedded({ config, log, tuning, releases }: Start): Promise<string> {
  const embedded = await EmbeddedPostgres.start({ dataDir: config.dataDir, log, durable: tuning.durable });
  releases.push(() => embedded.stop());
  embedded.onExit(() => tuning.onFailure?.('the embedded Postgres ended by itself'));
  return embedded.url;
}

/** Beside the sources and beside the build alike: the nearest `prisma` folder above this file. */
function migrationsDir(): string {
  const here = fileURLToPath(import.meta.url);
  const root = here.replace(/(\/dist)?\/src\/app\/[\w-]+\.[jt]s$/, '');
  return join(root, 'prisma', 'migrations');
}
