import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';

export interface ConnectionHogOptions {
  /** Returns the URL of the server, which changes with each restart. */
  url: () => string;
  /** A statement that ends the connections of others. */
  terminate: string;
  ms: number;
}

/** Forking a process for each takes PostgreSQL a few milliseconds. */
const AT_ONCE = 10;
const RETRY_DELAY_MS = 100;

/** Takes every connection of a server for `ms`, also those of others, which are ended. */
export async function holdAllConnections({ url, terminate, ms }: ConnectionHogOptions): Promise<void> {
  const deadline = Date.now() + ms;
  const held: Client[] = [];
  const hold = async (): Promise<boolean> => {
    const client = new Client({ connectionString: url(), application_name: 'chaos' });
    client.on('error', () => undefined); // a restart also ends these connections
    try {
      await client.connect();
      return held.push(client) > 0;
    } catch {
      return false;
    }
  };
  while (Date.now() < deadline) {
    const taken = await Promise.all(Array.from({ length: AT_ONCE }, hold));
    if (!taken.includes(false)) continue;
    // Every connection is in use. Whoever was faster loses it now.
    await held
      .at(-1)
      ?.query(terminate)
      .catch(() => held.pop());
    if (!taken.includes(true)) await pause(RETRY_DELAY_MS);
  }
  await Promise.all(held.map((client) => client.end().catch(() => undefined)));
}
