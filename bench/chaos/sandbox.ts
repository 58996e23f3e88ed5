import { type Child, killChild, startChild } from './child.js';
import { TcpProxy, freePort } from './tcp-proxy.js';

/** A generation that the upstream would have billed. See docs/SANDBOX.md. */
export interface BilledGeneration {
  taskId: string;
  /** As sent, including directives. */
  prompt: string;
  count: number;
}

interface UpstreamTask {
  id: string;
  /** Unix seconds. Absent while the task runs. */
  finished_at?: number;
}

const TOKEN = 'chaos';
/** The API's limit of IDs per read. */
const MAX_READ_TASK_IDS = 50;
const NO_CONTENT = 204;
const START_TIMEOUT_MS = 60_000;

/**
 * The upstream as a separate process. Its API is reached through a proxy that can be disconnected. Its image links bypass the
 * proxy, because the real upstream also serves images from another host.
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
    const failed = child.exited.then(() => Promise.reject(new Error(`The sandbox exited. See ${logFile}.`)));
    failed.catch(() => undefined);
    const startTimer = setTimeout(() => void killChild(child), START_TIMEOUT_MS);
    await Promise.race([listening, failed]).finally(() => clearTimeout(startTimer));
    return new SandboxProcess(child, port, await TcpProxy.open({ targets: () => [port] }));
  }

  /** Environment variables that make an instance use this upstream. */
  get environment(): Record<string, string> {
    return {
      FLUX_BASE_URL: `http://127.0.0.1:${this.proxy.port}`,
      FLUX_API_TOKEN: TOKEN,
      ALLOW_PRIVATE_HOSTS: '127.0.0.1',
    };
  }

  /** All billed generations so far, oldest first. */
  async billedGenerations(): Promise<BilledGeneration[]> {
    const { generations } = (await this.request('GET', '/ledger')) as { generations: BilledGeneration[] };
    return generations;
  }

  /** When these tasks finished, in Unix milliseconds. Unfinished ones are absent. */
  async finishTimes(upstreamTaskIds: readonly string[]): Promise<Map<string, number>> {
    const times = new Map<string, number>();
    for (let start = 0; start < upstreamTaskIds.length; start += MAX_READ_TASK_IDS) {
      const ids = upstreamTaskIds.slice(start, start + MAX_READ_TASK_IDS);
      const response = await this.request('POST', '/flux/tasks', { action: 'retrieve_batch', ids });
      for (const { id, finished_at: finishedAt } of (response as { items: UpstreamTask[] }).items) {
        if (finishedAt !== undefined) times.set(id, finishedAt * 1000);
      }
    }
    return times;
  }

  /** Refuses all requests for `seconds` because of the account. See docs/SANDBOX.md. */
  async beginOutage(
    error: 'invalid_token' | 'used_up' | 'too_many_requests',
    seconds: number,
  ): Promise<void> {
    await this.request('PUT', '/outage', { error, seconds });
  }

  /** Creates an image synchronously, and returns its URL. */
  async generate(input: { model: string; size: string; prompt: string }): Promise<string> {
    const response = await this.request('POST', '/flux/images', { action: 'generate', ...input });
    const [image] = (response as { data: { image_url: string }[] }).data;
    if (!image) throw new Error('The sandbox created no image.');
    return image.image_url;
  }

  async stop(): Promise<void> {
    await this.proxy.disconnect();
    await killChild(this.child);
  }

  private async request(method: string, path: string, body?: object): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    if (!response.ok)
      throw new Error(`The sandbox returned status ${response.status} for ${method} ${path}.`);
    return response.status === NO_CONTENT ? null : response.json();
  }
}
