/**
 * The service in a child process that kills itself at the crash point named by CRASH_AT. The environment configures it as
 * it configures main.ts, with short intervals. It prints one line of JSON when it is ready, and it exits when its standard
 * input closes, so that it never outlives its test.
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
// A webhook whose attempt died with the process is due again five seconds after this timeout.
const tuning = { readUpstreamAfterMs: 300, reconcileIntervalMs: 200, webhookTimeoutMs: 1_000 };
const { url, firstApiKey } = await startApp(config, log, tuning);
console.log(JSON.stringify({ url, firstApiKey }));
