import { type Logger } from 'pino';
import { type Generation } from './generation.js';
import { type HttpClient } from './http/http-client.js';
import { type Outcome, type SandboxTask } from './state/task-store.js';

/** How long after its end a late callback is sent: longer than a reader that polls every second or two. */
const LATE_MS = 3_000;

/** Posts how a task ended to the URL that it was submitted with: once, for the real API promises no second try. */
export class Callbacks {
  constructor(
    private readonly http: HttpClient,
    private readonly generation: Generation,
    private readonly log: Logger,
  ) {}

  /** Resolves when the callback was answered, failed, or is not to be sent. Rejects only when the sandbox is closed meanwhile. */
  async send(task: SandboxTask, outcome: Outcome): Promise<void> {
    const { callbackUrl, directives } = task.request;
    if (callbackUrl === null || directives.callback === 'lost') return;
    if (directives.callback === 'late') await this.generation.wait(LATE_MS);
    const times = directives.callback === 'twice' ? 2 : 1;
    await Promise.all(Array.from({ length: times }, () => this.post(task.id, callbackUrl, outcome)));
  }

  private async post(taskId: string, url: string, outcome: Outcome): Promise<void> {
    try {
      const status = await this.http.post(url, outcome);
      this.log.debug({ taskId, status }, 'a callback was answered');
    } catch (err) {
      this.log.warn({ taskId, err }, 'a callback was not answered');
    }
  }
}
