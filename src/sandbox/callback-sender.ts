import { type Logger } from 'pino';
import { type SandboxGenerator } from './sandbox-generator.js';
import { type SandboxHttpClient } from './http/sandbox-http-client.js';
import { type GenerationOutcome, type SandboxTask } from './state/sandbox-task-store.js';

/** How long after the task's completion a late callback is sent. Longer than the interval of a client that polls every second or two. */
const LATE_CALLBACK_DELAY_MS = 3_000;

/** Posts the outcome of a task to its callback URL. Sends it once, because the real API does not promise a retry. */
export class SandboxCallbackSender {
  constructor(
    private readonly http: SandboxHttpClient,
    private readonly generator: SandboxGenerator,
    private readonly log: Logger,
  ) {}

  /**
   * Resolves when the callback was answered, has failed, or must not be sent. Rejects only when the sandbox is closed in the
   * meantime.
   */
  async send(task: SandboxTask, outcome: GenerationOutcome): Promise<void> {
    const { callbackUrl, directives } = task.request;
    if (callbackUrl === null || directives.callback === 'lost') return;
    if (directives.callback === 'late') await this.generator.wait(LATE_CALLBACK_DELAY_MS);
    const times = directives.callback === 'twice' ? 2 : 1;
    await Promise.all(Array.from({ length: times }, () => this.post(task.id, callbackUrl, outcome)));
  }

  private async post(taskId: string, url: string, outcome: GenerationOutcome): Promise<void> {
    try {
      const status = await this.http.post(url, outcome);
      this.log.debug({ taskId, status }, 'a callback was answered');
    } catch (err) {
      this.log.warn({ taskId, err }, 'failed to send a callback');
    }
  }
}
