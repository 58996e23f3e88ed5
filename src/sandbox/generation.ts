import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { type Logger } from 'pino';
import { editPicture } from './painting/edit-picture.js';
import { ApiRefusal } from './http/api-refusal.js';
import { type HttpClient } from './http/http-client.js';
import { type Ledger } from './state/charge-list.js';
import { type PictureStore } from './state/picture-store.js';
import { pictureSides } from './painting/picture-size.js';
import { type Outcome, type ReplyPicture, type SandboxTask } from './state/task-store.js';

export interface GenerationParts {
  http: HttpClient;
  pictures: PictureStore;
  ledger: Ledger;
  /** Aborts every wait. */
  closing: AbortSignal;
  log: Logger;
  /** Base of the links, without a slash at its end. */
  publicUrl: () => string;
  /** How long a picture takes when the prompt does not say, in milliseconds. */
  delayMs: number;
}

/** Makes the pictures of an accepted task: waits, makes, bills, ends. */
export class Generation {
  constructor(private readonly parts: GenerationParts) {
    setMaxListeners(0, parts.closing);
  }

  /**
   * Brings the task to its end and returns how it ended. A failure is an end, too; it rejects only when the sandbox is
   * closed meanwhile, and then the task never ends.
   */
  async run(task: SandboxTask): Promise<Outcome> {
    const { closing, log } = this.parts;
    const ids = { task_id: task.id, trace_id: task.traceId };
    let outcome: Outcome;
    try {
      outcome = { success: true, ...ids, data: await this.make(task) };
    } catch (cause) {
      if (closing.aborted) throw cause;
      const refusal = cause instanceof ApiRefusal ? cause : new ApiRefusal('api_error', undefined, { cause });
      log.info({ taskId: task.id, err: refusal }, 'a generation failed');
      outcome = { success: false, ...ids, error: refusal.body };
    }
    task.end = { atMs: Date.now(), outcome };
    return outcome;
  }

  private async make(task: SandboxTask): Promise<ReplyPicture[]> {
    const { directives, imageUrl } = task.request;
    const source = imageUrl === null ? null : this.parts.http.fetchSource(imageUrl);
    const [bytes] = await Promise.all([source, this.wait(this.durationMs(task))]);
    if (directives.fail) throw new ApiRefusal(directives.fail);
    const ids = bytes ? [await this.edit(task, bytes)] : this.generate(task);
    const delivered = ids.slice(0, directives.images ?? ids.length);
    this.parts.ledger.add(task.id, task.request, delivered.length);
    return delivered.map((id, index) => this.reply(task, id, index));
  }

  /** Rejects when the sandbox is closed meanwhile. Does not keep the process alive. */
  async wait(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.parts.closing, ref: false });
  }

  /** The reply waits for an early callback, so the generation takes no time then unless the prompt says how long. */
  private durationMs({ request }: SandboxTask): number {
    const { callbackUrl, directives } = request;
    const isEarly = callbackUrl !== null && directives.callback === 'early';
    return directives.delayMs ?? (isEarly ? 0 : this.parts.delayMs);
  }

  private generate({ request }: SandboxTask): string[] {
    const { caption, model, size, count, directives, hash } = request;
    const facts = { caption, model: model.name, ...pictureSides(model, size) };
    return Array.from({ length: count }, (_, index) =>
      this.parts.pictures.addGenerated({ ...facts, seed: seedOf(hash, index), index }, directives.picture),
    );
  }

  private async edit({ request }: SandboxTask, source: Buffer): Promise<string> {
    const { caption, model, size, directives, hash } = request;
    const sides = size === null ? null : pictureSides(model, size);
    const facts = { caption, model: model.name, seed: seedOf(hash, 0), size: sides };
    const png = await editPicture(source, facts).catch((cause: unknown) => {
      throw new ApiRefusal('api_error', 'the source is not a picture that can be read', { cause });
    });
    return this.parts.pictures.addEdit(png, directives.picture);
  }

  /** Which shapes `seed` and `timings` take is decided by the request's hash: different from request to request, stable for one. */
  private reply({ request, startedAtMs }: SandboxTask, id: string, index: number): ReplyPicture {
    const { hash, prompt } = request;
    const seed = seedOf(hash, index);
    const seeds = [{ seed }, { seed: String(seed) }, { seed }, { seed: String(seed) }, {}];
    const isNumeric = hash.readUInt8(1) % 2 === 0;
    const timings = isNumeric
      ? Math.floor(Date.now() / 1000)
      : { inference: Math.max(1, Date.now() - startedAtMs) / 1000 };
    const image_url = `${this.parts.publicUrl()}/pictures/${id}.png`;
    return { prompt, image_url, ...seeds[hash.readUInt8(0) % seeds.length], timings };
  }
}

/** The seed of one picture: 31 bits, like those of the real API. */
function seedOf(hash: Buffer, index: number): number {
  return (hash.readUInt32LE(4) + index * 7_919) % 2 ** 31;
}
