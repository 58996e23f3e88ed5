/** Darkroom without push: events are written, but neither sealed nor read. For notify-tax.ts. */
import { pino } from 'pino';
import { startApp } from '../../src/app/app.js';
import { readConfig } from '../../src/config/config.js';

const config = readConfig(process.env);
const app = await startApp(config, pino({ level: config.logLevel }), { push: false });
process.once('SIGTERM', () => void app.stop().then(() => process.exit()));
process.once('SIGINT', () => undefined); // Ctrl-C reaches the whole process group, and the benchmark ends this process
console.log(`Darkroom is listening at ${app.url}/graphql\n\nThe first API key: ${app.firstApiKey}\n\n`);
