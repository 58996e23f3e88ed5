/**
 * The service in a child process, so that tests can stop, kill and restart it. The environment configures it as it
 * configures main.ts, and TUNING adds a JSON object of type Tuning. It prints one line of JSON when it is ready, and
 * SIGTERM stops it gracefully. It exits when its standard input closes, so that it never outlives its test.
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
const { url, firstApiKey } = app;
console.log(JSON.stringify({ url, firstApiKey }));
