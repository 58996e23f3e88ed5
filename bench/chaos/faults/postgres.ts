import { setTimeout as pause } from 'node:timers/promises';
import { type FaultDefinition } from './fault-definition.js';

/** Between the crash and the restart, as with a supervisor. */
const DOWN_MS = 1_000;
/** Longer than the queue needs to give up, to be replaced, and to fail again. */
const READ_ONLY_MS = 4_000;

export const POSTGRES_FAULTS: readonly FaultDefinition[] = [
  {
    kind: 'terminate',
    title: 'database connections terminated',
    weight: 8,
    run: async ({ postgres, logLine }) => {
      logLine(`${await postgres.terminateConnections()} database connections are terminated`);
    },
  },
  {
    kind: 'postgres',
    title: 'PostgreSQL crashed',
    weight: 3,
    outageOf: 'postgres',
    group: 'server',
    run: async ({ postgres, logLine }) => {
      logLine('PostgreSQL crashes and is started again');
      await postgres.shutDown('immediate');
      await pause(DOWN_MS);
      await postgres.restart();
    },
  },
  {
    kind: 'readonly',
    title: 'PostgreSQL read-only for 4 s',
    weight: 3,
    outageOf: 'postgres',
    run: async ({ postgres, logLine }) => {
      logLine(`PostgreSQL is read-only for ${READ_ONLY_MS / 1000} s`);
      await postgres.setReadOnly();
      await pause(READ_ONLY_MS);
      await postgres.setWritable();
    },
  },
];
