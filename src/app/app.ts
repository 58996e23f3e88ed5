import { createServer } from 'node:http';
import { type Logger } from 'pino';
import { openDoors } from './transports.js';
import { startMachines } from './adapters.js';
import { atMost, type Releases, WORKER_STOP_MS } from './releases.js';
import { buildServices } from './services.js';
import { type Tuning } from './tuning.js';
import { makeWorker } from './worker.js';
import { type Config } from '../config/config.js';
import { close, listen, localUrl } from '../http/server/listen.js';
import { Health } from '../services/health.js';

export { type Tuning } from './tuning.js';

export interface App {
  /** Where it listens on this machine, without a slash at the end. */
  url: string;
  /** The first key of a new installation, this once; null where there was one already. */
  firstKey: string | null;
  /** Takes no new requests, lets the ones under way end, hands jobs back, and releases everything, within 15 s. */
  stop(): Promise<void>;
}

/** Builds every object once, bottom floor first, and starts it. What was started is released in reverse, also on failure. */
export async function startApp(config: Config, log: Logger, tuning: Tuning = {}): Promise<App> {
  const releases: Releases = [];
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
  releases: Releases,
): Promise<Omit<App, 'stop'>> {
  const server = createServer();
  await listen(server, config);
  releases.push(() => close(server));
  const url = localUrl(server, config);

  const start = { config, log, tuning, releases, url };
  const machines = await startMachines(start);
  const services = await buildServices(machines, start);
  const firstKey = await services.access.makeFirstKey();
  const worker = config.roles.worker ? makeWorker(machines, services, start) : null;
  const health = new Health(machines.db, machines.gate, machines.store, worker);
  await openDoors(server, services, health, start);
  if (worker) {
    releases.push(() =>
      Promise.all([
        atMost(WORKER_STOP_MS, 'the queue', worker.stop()),
        atMost(WORKER_STOP_MS, 'callbacks under way', services.delivering.stop()),
      ]),
    );
    await worker.start();
  }
  releases.push(() => health.startDraining());
  return { url, firstKey };
}
