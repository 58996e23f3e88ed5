/**
 * The service as a process that tests can kill: configured by the environment like main.ts, with short tunings, and with
 * the crash point armed that CRASH_AT names. Prints one line of JSON when it is ready, and ends when its standard input
 * does, so that it never outlives its test.
 */
import { pino } from 'pino';
import { startApp } from '../../../src/app/app.js';
import { readConfig } from '../../../src/config/config.js';
import { armCrashPoint, type CrashPoint } from '../../../src/core/primitives/crash-points.js';

const { CRASH_AT, ...environment } = process.env;
if (CRASH_AT) armCrashPoint(CRASH_AT as CrashPoint);
process.stdin.resume().once('close', () => process.exit(1));
const config = readConfig(environment);
const log = pino({ level: config.logLevel }, pino.destination(process.stderr.fd));
// A callback whose attempt died with the process is due again five seconds after the time-out.
const tuning = { askUpstreamAfterMs: 300, reconcileEveryMs: 200, deliveryTimeoutMs: 1_000 };
const { url, firstKey } = await startApp(config, log, tuning);
console.log(JSON.stringify({ url, firstKey }));
