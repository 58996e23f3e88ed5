/**
 * The service as a process that tests can stop, kill and start again: configured by the environment like main.ts, and by
 * TUNING. Prints one line of JSON when it is ready; SIGTERM ends it as it ends main.ts. It ends when its standard input
 * does, so that it never outlives its test.
 */
import { pino } from 'pino';
import { startApp, type Tuning } from '../../../src/app/app.js';
import { readConfig } from '../../../src/config/config.js';

const { TUNING, ...environment } = process.env;
process.stdin.resume().once('close', () => process.exit(1));
const config = readConfig(environment);
const log = pino({ level: config.logLevel }, pino.destination(process.stderr.fd));
const app = await startApp(config, log, JSON.parse(TUNING ?? '{}') as Tuning);
process.once('SIGTERM', () => {
  void app.stop().then(() => process.exit(0));
});
const { url, firstKey } = app;
console.log(JSON.stringify({ url, firstKey }));
