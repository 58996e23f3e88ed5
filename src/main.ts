import { pino } from 'pino';
import { startApp } from './app/app.js';
import { type Config, readConfig } from './config/config.js';
import { AppError } from './core/errors.js';

/** SIGTERM drains within 15 s; a process that is still there then has a fault, and ends all the same. */
const LAST_RESORT_MS = 15_000;

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const log = pino({ level: config.logLevel });
  let end: (exitCode: number) => void = () => undefined;
  const ended = new Promise<number>((resolve) => (end = resolve));
  const onFailure = (reason: string) => {
    log.fatal({ reason }, 'this instance cannot go on');
    end(1);
  };
  const app = await startApp(config, log, { onFailure });
  process.once('SIGTERM', () => end(0));
  process.once('SIGINT', () => end(0));
  console.log(greeting(app.url, app.firstKey, config));

  const exitCode = await ended;
  log.info('shutting down');
  setTimeout(() => process.exit(1), LAST_RESORT_MS).unref();
  await app.stop();
  process.exit(exitCode);
}

function greeting(url: string, firstKey: string | null, config: Config): string {
  const upstream = config.flux.token === null ? 'the sandbox: pictures cost nothing' : config.flux.baseUrl;
  const lines = [`Darkroom listens at ${url}/graphql`, `Upstream: ${upstream}`];
  if (firstKey) {
    const query =
      'mutation { generateImages(input: { prompt: \\"a lighthouse at dusk\\" }) { task { id status } } }';
    lines.push(
      '',
      `Your first API key, shown this once: ${firstKey}`,
      'Try it:',
      '',
      `curl -s ${url}/graphql -H 'content-type: application/json' -H 'authorization: Bearer ${firstKey}' \\`,
      `  -d '{"query":"${query}"}'`,
    );
  }
  return `${lines.join('\n')}\n`;
}

main().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error);
  console.error(error instanceof AppError ? message : `Darkroom cannot start: ${message}`);
  process.exit(1);
});
