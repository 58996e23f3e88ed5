import { setTimeout as pause } from 'node:timers/promises';
import { type FaultDefinition } from './fault-definition.js';

/** Longer than the time limit of a statement. */
const SILENT_MS = 6_000;
const REFUSING_MS = 4_000;
const DEAF_MS = 8_000;

export const NETWORK_FAULTS: readonly FaultDefinition[] = [
  {
    kind: 'silent',
    title: 'database network silent for 6 s',
    weight: 3,
    outageOf: 'postgres',
    run: async ({ postgres, logLine }) => {
      logLine(`the network to PostgreSQL loses every packet for ${SILENT_MS / 1000} s`);
      postgres.proxy.silence();
      await pause(SILENT_MS);
      postgres.proxy.endSilence();
    },
  },
  {
    kind: 'refusing',
    title: 'PostgreSQL refuses connections for 4 s',
    weight: 3,
    outageOf: 'postgres',
    run: async ({ postgres, logLine }) => {
      logLine(`PostgreSQL refuses connections for ${REFUSING_MS / 1000} s`);
      await postgres.proxy.disconnect();
      await pause(REFUSING_MS);
      await postgres.proxy.reconnect();
    },
  },
  {
    kind: 'notifications',
    title: 'notifications of PostgreSQL lost for 8 s',
    weight: 3,
    run: async ({ postgres, logLine }) => {
      logLine(`every notification of PostgreSQL is lost for ${DEAF_MS / 1000} s`);
      postgres.losesNotifications = true;
      await pause(DEAF_MS);
      postgres.losesNotifications = false;
    },
  },
];
