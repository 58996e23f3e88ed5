import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { type Logger } from 'pino';
import { nearestRatio } from '../core/tasks/sizes.js';
import { editImage } from './painting/edit-image.js';
import { ApiRefusal } from './http/api-refusal.js';
import { type SandboxHttpClient } from './http/sandbox-http-client.js';
import { type ChargeList } from './state/charge-list.js';
import { type SandboxImageStore } from './state/sandbox-image-store.js';
import { type ImageSize, resolveImageSize } from './painting/image-size.js';
import { type GenerationOutcome, type ReplyImage, type SandboxTask } from './state/sandbox-task-store.js';

/**
 * How long after the task's completion a late callback is sent. Longer than the interval of a client that polls every second or
 * two.
 */
const LATE_CALLBACK_DELAY_MS = 3_000;

interface SandboxGeneratorDependencies {
  http: SandboxHttpClient;
  images: SandboxImageStore;
  charges: ChargeList;
  /** Aborts every wait. */
  signal: AbortSignal;
  log: Logger;
  /** Base URL of the image links, without a trailing slash. */
  publicUrl: () => string;
  /** How long a generation takes unless its prompt says otherwise, in milliseconds. */
  defaultDelayMs: number;
}

/** Runs accepted tasks: waits, produces the images, records the charge, completes the task and posts its callback. */
export class SandboxGenerator {
  constructor(private readonly dependencies: SandboxGeneratorDependencies) {
    setMaxListeners(0, dependencies.signal);
  }

  /**
   * Completes the task and returns its outcome, which may be a failure. Rejects only when the sandbox is closed in the meantime.
   * The task never finishes then.
   */
  async run(task: SandboxTask): Promise<GenerationOutcome> {
    const { signal, log } = this.dependencies;
    const ids = { task_id: task.id, trace_id: task.traceId };
    let outcome: GenerationOutcome;
    try {
      outcome = { success: true, ...ids, data: await this.produceImages(task) };
    } catch (cause) {
      if (signal.aborted) throw cause;
      const refusal = cause instanceof ApiRefusal ? cause : new ApiRefusal('api_error', undefined, { cause });
      log.info({ taskId: task.id, err: refusal }, 'a generation failed');
      outcome = { success: false, ...ids, error: refusal.error };
    }
    task.completion = { atMs: Date.now(), outcome };
    return outcome;
  }

  /**
   * Posts the outcome to the task's callback URL, once, because the real API does not promise a retry. Resolves when the callback
   * was answered, has failed, or must not be sent. Rejects only when the sandbox is closed in the meantime.
   */
  async sendCallback({ id: taskId, request }: SandboxTask, outcome: GenerationOutcome): Promise<void> {
    const { callbackUrl, directives } = request;
    if (callbackUrl === null || directives.callback === 'lost') return;
    if (directives.callback === 'late') await this.wait(LATE_CALLBACK_DELAY_MS);
    const { http, log } = this.dependencies;
    const post = () =>
      http.post(callbackUrl, outcome).then(
        (status) => log.debug({ taskId, status }, 'a callback was answered'),
        (err: unknown) => log.warn({ taskId, err }, 'failed to send a callback'),
      );
    await Promise.all(directives.callback === 'twice' ? [post(), post()] : [post()]);
  }

  private async produceImages(task: SandboxTask): Promise<ReplyImage[]> {
    const { directives, imageUrl } = task.request;
    const source = imageUrl === null ? null : this.dependencies.http.fetchSource(imageUrl);
    const [sourceBytes] = await Promise.all([source, this.wait(this.durationMs(task))]);
    if (directives.fail) throw new ApiRefusal(directives.fail);
    const ids = sourceBytes ? [await this.edit(task, sourceBytes)] : this.generate(task);
    const delivered = ids.slice(0, directives.images ?? ids.length);
    this.dependencies.charges.add(task.id, task.request, delivered.length);
    return delivered.map((id, index) => this.toReplyImage(task, id, index));
  }

  /** Rejects when the sandbox is closed in the meantime. Does not keep the process alive. */
  async wait(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.dependencies.signal, ref: false });
  }

  /** With an early callback the reply waits for the generation, which then takes no time unless the prompt sets a delay. */
  private durationMs({ request }: SandboxTask): number {
    const { callbackUrl, directives } = request;
    const isEarly = callbackUrl !== null && directives.callback === 'early';
    return directives.delayMs ?? (isEarly ? 0 : this.dependencies.defaultDelayMs);
  }

  private generate({ request }: SandboxTask): string[] {
    const { caption, model, size, count, directives, hash } = request;
    const parameters = { caption, model: model.name, ...resolveImageSize(model, size) };
    return Array.from({ length: count }, (_, index) =>
      this.dependencies.images.add({ ...parameters, seed: seedOf(hash, index), index }, directives.image),
    );
  }

  private async edit({ request }: SandboxTask, source: Buffer): Promise<string> {
    const { caption, model, size, directives, hash } = request;
    // Keeps the size of a source that has the requested shape already, so that an edit of a small image stays small.
    const keepsSize = (source: ImageSize) =>
      size === null || nearestRatio(model, source.width, source.height) === size;
    const sizeFor = (source: ImageSize) => (keepsSize(source) ? null : resolveImageSize(model, size));
    const parameters = { caption, model: model.name, seed: seedOf(hash, 0), sizeFor };
    const png = await editImage(source, parameters).catch((cause: unknown) => {
      throw new ApiRefusal('api_error', 'the source image cannot be read', { cause });
    });
    return this.dependencies.images.addEdit(png, directives.image);
  }

  /** The request's hash decides the shapes of `seed` and `timings`: they vary between requests and are stable for one. */
  private toReplyImage({ request, startedAtMs }: SandboxTask, id: string, index: number): ReplyImage {
    const { hash, prompt } = request;
    const seed = seedOf(hash, index);
    const seeds = [{ seed }, { seed: String(seed) }, { seed }, { seed: String(seed) }, {}];
    const isNumeric = hash.readUInt8(1) % 2 === 0;
    const timings = isNumeric
      ? Math.floor(Date.now() / 1000)
      : { inference: Math.max(1, Date.now() - startedAtMs) / 1000 };
    const image_url = `${this.dependencies.publicUrl()}/images/${id}.png`;
    return { prompt, image_url, ...seeds[hash.readUInt8(0) % seeds.length], timings };
  }
}

/** The seed of one image: 31 bits, like those of the real API. */
function seedOf(hash: Buffer, index: number): number {
  return (hash.readUInt32LE(4) + index * 7_919) % 2 ** 31;
}
