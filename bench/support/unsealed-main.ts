/** Darkroom without its push: events are written, and neither sealed nor read. For the bench that asks what pushing costs. */
import { pino } from 'pino';
import { startApp } from '../../src/app/app.js';
import { readConfig } from '../../src/config/config.js';

const config = readConfig(process.env);
const app = await startApp(config, pino({ level: config.logLevel }), { push: false });
process.once('SIGTERM', () => void app.stop().then(() => process.exit()));
process.once('SIGINT', () => undefined); // Ctrl-C reaches all of us; the bench ends us when it is time
console.log(`Darkroom listens at ${app.url}/graphql\n\nThe first key: ${app.firstKey}\n\n`);
