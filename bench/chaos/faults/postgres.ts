import { setTimeout as pause } from 'node:timers/promises';
import { type FaultDefinition } from './fault-definition.js';

/** Between the end and the start of a server, as with a supervisor. */
const DOWN_MS = 1_000;
/** How long somebody else has all connections. */
const FULL_MS = 5_000;
/** How long the disk is full. */
const DISK_FULL_MS = 5_000;
/** Each commit waits so long, and many of them happen in the whole time. */
const COMMIT_DELAY_MS = 100;
const SLOW_COMMITS_MS = 6_000;
/** Longer than the time limit of a statement. */
const HANGING_COMMITS_MS = 7_000;
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
  {
    kind: 'restart',
    title: 'PostgreSQL restarted',
    weight: 3,
    outageOf: 'postgres',
    group: 'server',
    run: async ({ postgres, logLine }) => {
      logLine('PostgreSQL is restarted');
      await postgres.shutDown('fast');
      await pause(DOWN_MS);
      await postgres.restart();
    },
  },
  {
    kind: 'connections',
    title: 'PostgreSQL out of connections for 5 s',
    weight: 3,
    outageOf: 'postgres',
    run: async ({ postgres, logLine }) => {
      logLine(`PostgreSQL has no free connection for ${FULL_MS / 1000} s`);
      await postgres.takeAllConnections(FULL_MS);
    },
  },
  {
    kind: 'disk-full',
    title: 'disk of PostgreSQL full for 5 s',
    weight: 3,
    outageOf: 'postgres',
    group: 'server',
    reasonLeftOut: ({ postgres }) => postgres.disk.reasonUnlimited,
    run: async ({ postgres, logLine }) => {
      logLine(`the disk of PostgreSQL is full for ${DISK_FULL_MS / 1000} s`);
      await postgres.disk.fill();
      try {
        await pause(DISK_FULL_MS);
      } finally {
        await postgres.disk.free();
      }
      // Without space for its log PostgreSQL crashes and cannot start.
      await postgres.recover();
    },
  },
  {
    kind: 'slow-commits',
    title: 'commits take 100 ms longer for 6 s',
    weight: 3,
    run: async ({ postgres, logLine }) => {
      logLine(`each commit takes ${COMMIT_DELAY_MS} ms longer for ${SLOW_COMMITS_MS / 1000} s`);
      // PostgreSQL waits this long before it writes to the disk, as if the disk were slow.
      await postgres.configure({ commit_delay: String(COMMIT_DELAY_MS * 1000), commit_siblings: '0' });
      await pause(SLOW_COMMITS_MS);
      await postgres.configure({ commit_delay: null, commit_siblings: null });
    },
  },
  {
    kind: 'hanging-commits',
    title: 'commits hang for 7 s',
    weight: 3,
    outageOf: 'postgres',
    run: async ({ postgres, logLine }) => {
      logLine(`commits are durable and unanswered for ${HANGING_COMMITS_MS / 1000} s`);
      // They wait for a replica that does not exist.
      await postgres.configure({ synchronous_standby_names: 'nobody' });
      await pause(HANGING_COMMITS_MS);
      await postgres.configure({ synchronous_standby_names: null });
    },
  },
];
