import { pino } from 'pino';
import { startApp } from './app/app.js';
import { type Config, readConfig } from './config/config.js';
import { AppError } from './core/errors.js';

/** A shutdown takes at most 15 s. A process that is still running then is faulty and is terminated. */
const FORCED_EXIT_MS = 15_000;

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const log = pino({ level: config.logLevel });
  let requestShutdown: (exitCode: number) => void = () => undefined;
  const shutdownRequested = new Promise<number>((resolve) => (requestShutdown = resolve));
  const onFatal = (reason: string) => {
    log.fatal({ reason }, 'this instance cannot continue');
    requestShutdown(1);
  };
  const app = await startApp(config, log, { onFatal });
  process.once('SIGTERM', () => requestShutdown(0));
  process.once('SIGINT', () => requestShutdown(0));
  console.log(startupMessage(app.url, app.firstApiKey, config));

  const exitCode = await shutdownRequested;
  log.info('shutting down');
  setTimeout(() => process.exit(1), FORCED_EXIT_MS).unref();
  await app.stop();
  process.exit(exitCode);
}

function startupMessage(url: string, firstApiKey: string | null, config: Config): string {
  const upstream = config.flux.token === null ? 'the sandbox (images cost nothing)' : config.flux.baseUrl;
  const lines = [`Darkroom is listening at ${url}/graphql`, `Upstream: ${upstream}`];
  if (firstApiKey) {
    const query =
      'mutation { generateImages(input: { prompt: \\"a lighthouse at dusk\\" }) { task { id status } } }';
    lines.push(
      '',
      `Your first API key (shown only once): ${firstApiKey}`,
      'Try it:',
      '',
      `curl -s ${url}/graphql -H 'content-type: application/json' -H 'authorization: Bearer ${firstApiKey}' \\`,
      `  -d '{"query":"${query}"}'`,
    );
  }
  return `${lines.join('\n')}\n`;
}

main().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error);
  console.error(error instanceof AppError ? message : `Darkroom failed to start: ${message}`);
  process.exit(1);
});
