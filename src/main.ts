import { pino } from 'pino';
import { runAgain } from './app/run-again.js';
import { ShutdownRequest } from './app/shutdown-request.js';
import { startupMessage } from './app/startup-message.js';
import { readConfig } from './config/config.js';
import { boundHeapGrowth } from './config/heap-growth.js';
import { environmentWithThreads } from './config/thread-pool.js';
import { AppError } from './core/errors.js';

/** A shutdown takes at most 15 s. A process that is still running then is faulty and is terminated. */
const FORCED_EXIT_MS = 15_000;

async function main(): Promise<void> {
  const environment = environmentWithThreads(process.env);
  if (environment) process.exit(await runAgain(environment));
  boundHeapGrowth();
  const config = readConfig(process.env);
  const log = pino({ level: config.logLevel });
  // Before the start, which would otherwise leave an embedded PostgreSQL behind when it is interrupted.
  const shutdown = new ShutdownRequest();
  void shutdown.exitCode.then(() => {
    log.info('shutting down');
    setTimeout(() => process.exit(1), FORCED_EXIT_MS).unref();
  });
  const onFatal = (reason: string) => {
    log.fatal({ reason }, 'this instance cannot continue');
    shutdown.request(1);
  };
  // Only here, because a process that runs the program again needs little memory.
  const { startApp } = await import('./app/app.js');
  const app = await startApp(config, log, { onFatal });
  console.log(startupMessage({ ...app, config }));

  const exitCode = await shutdown.exitCode;
  await app.stop();
  process.exit(exitCode);
}

main().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error);
  console.error(error instanceof AppError ? message : `Darkroom failed to start: ${message}`);
  process.exit(1);
});
