import { setTimeout as pause } from 'node:timers/promises';
import { HostileConnections } from '../../support/hostile-connections.js';
import { type FaultDefinition } from './fault-definition.js';

/** An operator who gets no answer tries again, also through an outage. */
const ROTATION_ATTEMPTS = 30;
const ROTATION_RETRY_MS = 1_000;
const HOSTILE_CONNECTIONS = 50;
const HOSTILE_MS = 8_000;

export const CLIENT_FAULTS: readonly FaultDefinition[] = [
  {
    kind: 'rotate-key',
    title: 'API key of the load rotated',
    weight: 3,
    run: async ({ client, logLine }) => {
      logLine('the API key of the load is rotated');
      for (let attempt = 1; !(await client.rotateKey()); attempt += 1) {
        if (attempt === ROTATION_ATTEMPTS) throw new Error('The API key could not be rotated.');
        await pause(ROTATION_RETRY_MS);
      }
    },
  },
  {
    kind: 'hostile',
    title: 'hostile connections for 8 s',
    weight: 3,
    run: async ({ client, logLine }) => {
      logLine(
        `${HOSTILE_CONNECTIONS} hostile connections are opened again and again for ${HOSTILE_MS / 1000} s`,
      );
      const attackers = new HostileConnections({
        port: Number(new URL(client.url).port),
        apiKey: client.apiKey,
      });
      attackers.start(HOSTILE_CONNECTIONS);
      await pause(HOSTILE_MS);
      await attackers.stop();
    },
  },
];
