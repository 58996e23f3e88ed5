import { type Child, killChild, startChild } from './child.js';
import { TcpProxy, freePort } from './tcp-proxy.js';

/** One generation that the upstream would have billed; docs/SANDBOX.md. */
export interface LedgerEntry {
  taskId: string;
  /** As it was sent, directives included. */
  prompt: string;
  count: number;
}

interface UpstreamTask {
  id: string;
  /** Seconds since 1970; absent while it runs. */
  finished_at?: number;
}

const TOKEN = 'chaos';
/** The API's own limit on ids in one reading. */
const MAX_READ_IDS = 50;
const START_TIMEOUT_MS = 60_000;

/**
 * The upstream in a process of its own. Its API is reached through a proxy that can be cut; the links of its pictures name
 * its own port, as those of the real API name another host than the API's.
 */
export class SandboxProcess {
  private constructor(
    private readonly child: Child,
    private readonly port: number,
    readonly proxy: TcpProxy,
  ) {}

  static async start(logFile: string): Promise<SandboxProcess> {
    const port = await freePort();
    let isListening: () => void = () => undefined;
    const listening = new Promise<void>((resolve) => (isListening = resolve));
    const env = { PORT: String(port), SANDBOX_TOKEN: TOKEN };
    const child = startChild({ module: 'sandbox/main', env, logFile, onLine: () => isListening() });
    const failed = child.exited.then(() => Promise.reject(new Error(`The sandbox ended; see ${logFile}.`)));
    failed.catch(() => undefined);
    const late = setTimeout(() => void killChild(child), START_TIMEOUT_MS);
    await Promise.race([listening, failed]).finally(() => clearTimeout(late));
    return new SandboxProcess(child, port, await TcpProxy.open({ targets: () => [port] }));
  }

  /** What instances are configured with. */
  get environment(): Record<string, string> {
    return {
      FLUX_BASE_URL: `http://127.0.0.1:${this.proxy.port}`,
      FLUX_API_TOKEN: TOKEN,
      ALLOW_PRIVATE_HOSTS: '127.0.0.1',
    };
  }

  /** Every generation so far, oldest first. */
  async ledger(): Promise<LedgerEntry[]> {
    const { generations } = (await this.ask('GET', '/ledger')) as { generations: LedgerEntry[] };
    return generations;
  }

  /** When each of these tasks finished, in milliseconds since 1970; those that have not are absent. */
  async finishTimes(upstreamTaskIds: readonly string[]): Promise<Map<string, number>> {
    const times = new Map<string, number>();
    for (let start = 0; start < upstreamTaskIds.length; start += MAX_READ_IDS) {
      const ids = upstreamTaskIds.slice(start, start + MAX_READ_IDS);
      const read = await this.ask('POST', '/flux/tasks', { action: 'retrieve_batch', ids });
      for (const { id, finished_at: finishedAt } of (read as { items: UpstreamTask[] }).items) {
        if (finishedAt !== undefined) times.set(id, finishedAt * 1000);
      }
    }
    return times;
  }

  async stop(): Promise<void> {
    await this.proxy.cut();
    await killChild(this.child);
  }

  private async ask(method: string, path: string, body?: object): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`The sandbox answered ${response.status} to ${method} ${path}.`);
    return response.json();
  }
}
