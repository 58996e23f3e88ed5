import { type Logger } from 'pino';
import { startTransports } from './transports.js';
import { startAdapters } from './adapters.js';
import { buildServices } from './services.js';
import { type Tuning } from './tuning.js';
import { type AppContext, type Cleanups, stopWithin, WORKER_STOP_TIMEOUT_MS } from './app-context.js';
import { createWorker } from './create-worker.js';
import { type Config } from '../config/config.js';
import { close, createHttpServer, listen, localUrl } from '../http/server/listen.js';
import { CatalogRepository } from '../db/postgres/catalog-repository.js';
import { Health } from '../services/operations/health.js';

export { type Tuning } from './tuning.js';

/** A running service. */
export interface App {
  /** The local URL at which the service listens, without a trailing slash. */
  url: string;
  /** The first API key, once, at the first start of an installation. Null when a key existed already. */
  firstApiKey: string | null;
  /** Rejects new requests, finishes those in progress, releases jobs and closes everything within 15 s. */
  stop(): Promise<void>;
}

/**
 * Creates every object once, lowest layer first, and starts the service. Everything is released in reverse order, also after a
 * failed start.
 */
export async function startApp(config: Config, log: Logger, tuning: Tuning = {}): Promise<App> {
  const cleanups: Cleanups = [];
  const stop = async () => {
    for (const release of cleanups.splice(0).reverse()) {
      await Promise.resolve(release()).catch((error: unknown) =>
        log.error({ err: error }, 'a cleanup failed'),
      );
    }
  };
  try {
    const app = await buildAndStart({ config, log, tuning, cleanups });
    let stopPromise: Promise<void> | null = null;
    return { ...app, stop: () => (stopPromise ??= stop()) };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function buildAndStart(settings: Omit<AppContext, 'url'>): Promise<Omit<App, 'stop'>> {
  const { config, cleanups } = settings;
  const server = createHttpServer();
  await listen(server, config);
  cleanups.push(() => close(server));
  const url = localUrl(server, config);

  const context = { ...settings, url };
  const adapters = await startAdapters(context);
  const services = await buildServices(adapters, context);
  const firstApiKey = await services.access.createFirstKey();
  const worker = config.roles.worker ? createWorker(adapters, services, context) : null;
  const health = new Health({
    ...adapters,
    ping: () => adapters.db.ping(),
    catalog: new CatalogRepository(adapters.backgroundDb),
    worker,
    spools: [services.submitOutcomes, services.receivedCallbacks],
  });
  await services.receivedCallbacks.load();
  await startTransports(server, { ...services, health }, context);
  if (worker) {
    cleanups.push(() =>
      Promise.all([
        stopWithin(WORKER_STOP_TIMEOUT_MS, 'the queue', worker.stop()),
        stopWithin(WORKER_STOP_TIMEOUT_MS, 'the webhook sender', services.webhookSender.stop()),
      ]),
    );
    // The worker would otherwise take these submissions for interrupted ones.
    await services.submitOutcomes.applySpooled();
  }
  // Before the worker, which expires overdue tasks.
  await services.receivedCallbacks.applyWaiting();
  if (worker) adapters.eventLog.setAdvanceListener(() => worker.lookForJobs());
  await worker?.start();
  cleanups.push(() => health.startDraining());
  return { url, firstApiKey };
}
