import express, { Router, type Request, type Response } from 'express';
import { type Logger } from 'pino';
import { z } from 'zod';
import { API_ERRORS } from '../core/flux-api/flux-error.js';
import { requireBearer } from './http/bearer.js';
import { Callbacks } from './callbacks.js';
import { ApiRefusal } from './http/api-refusal.js';
import { Generation } from './generation.js';
import { HttpClient } from './http/http-client.js';
import { parseFields, parseImageRequest, readAction } from './http/parse-request.js';
import { Ledger } from './state/charge-list.js';
import { PictureStore } from './state/picture-store.js';
import { Refusals } from './http/refusals.js';
import { errorReplies, sendReply } from './http/send-reply.js';
import { TaskBook, type Outcome, type SandboxTask } from './state/task-store.js';

export interface SandboxOptions {
  /** The bearer token that is asked for. Without it any token that is not empty will do. */
  token?: string;
  /** Base of the picture links, where the router is mounted: `http://127.0.0.1:4000/sandbox`. Asked for each link. */
  publicUrl: () => string;
  log: Logger;
  /** How long a picture takes when its prompt does not say, in milliseconds; 1500 when absent. */
  delayMs?: number;
}

/** Long enough to see a task run, short enough to wait for. The real API takes 5 s to 2 min. */
const DEFAULT_DELAY_MS = 1500;
/** How long a slow picture keeps its reader waiting. */
const SLOW_PICTURE_MS = 2_000;
/** The API's own limit on `ids`. */
const MAX_BATCH = 50;
/** Far more than a submission or fifty ids need. */
const MAX_BODY = '100kb';

const retrieveFields = z.object({ id: z.string() });
const batchFields = z.object({ ids: z.array(z.string()).max(MAX_BATCH, `must be at most ${MAX_BATCH} ids`) });

/**
 * The Flux Images API in a box: the same paths, replies and errors as the real one, with painted pictures that cost
 * nothing, faults on demand, and a ledger of what would have been billed. All of it is in memory and bounded.
 */
export class Sandbox {
  readonly router: Router;
  private readonly closing = new AbortController();
  private readonly http = new HttpClient(this.closing.signal);
  private readonly ledger = new Ledger();
  private readonly pictures = new PictureStore();
  private readonly tasks = new TaskBook();
  private readonly refusals = new Refusals();
  private readonly generation: Generation;
  private readonly callbacks: Callbacks;
  private readonly inBackground = new Set<Promise<void>>();

  constructor(options: SandboxOptions) {
    const { publicUrl, log, delayMs = DEFAULT_DELAY_MS } = options;
    const { http, ledger, pictures } = this;
    const closing = this.closing.signal;
    this.generation = new Generation({ http, pictures, ledger, closing, log, publicUrl, delayMs });
    this.callbacks = new Callbacks(http, this.generation, log);

    const api = [requireBearer(options.token), express.json({ limit: MAX_BODY, type: () => true })];
    this.router = Router();
    this.router.post('/flux/images', api, (request: Request, response: Response) =>
      this.makeImages(request, response),
    );
    this.router.post('/flux/tasks', api, (request: Request, response: Response) => {
      response.json(this.readTasks(request.body));
    });
    this.router.get('/pictures/:file', (request, response) =>
      this.sendPicture(request.params.file, response),
    );
    this.router.get('/ledger', (request, response) => {
      const { prompt } = request.query;
      response.json(this.ledger.page(typeof prompt === 'string' ? prompt : ''));
    });
    this.router.use(() => {
      throw new ApiRefusal('no_api');
    });
    this.router.use(errorReplies(log));
  }

  /** Ends every generation, callback and held connection at once. What has not ended by then never does. */
  async close(): Promise<void> {
    this.closing.abort();
    await this.http.close();
    await Promise.allSettled(this.inBackground);
  }

  private async makeImages(request: Request, response: Response): Promise<void> {
    const wanted = parseImageRequest(request.body);
    this.refusals.check(wanted);
    const task = this.tasks.open(wanted);
    const end = this.generation.run(task);
    const { callbackUrl, isAsync, directives } = wanted;
    const isWaiting = callbackUrl === null && !isAsync;
    try {
      const outcome = isWaiting ? await end : null;
      const callback = end.then((result) => this.callbacks.send(task, result));
      if (directives.callback === 'early') await callback;
      this.keep(callback);
      if (outcome) sendReply(response, directives.reply, statusOf(outcome), outcome);
      else sendReply(response, directives.reply, 200, accepted(task));
    } catch (error) {
      if (!this.closing.signal.aborted) throw error;
      response.destroy();
    }
  }

  private readTasks(body: unknown): object {
    const read = readAction(body, {
      retrieve: () => this.tasks.retrieve(parseFields(retrieveFields, body).id),
      retrieve_batch: () => this.tasks.retrieveBatch(parseFields(batchFields, body).ids),
    });
    return read();
  }

  private async sendPicture(file: string, response: Response): Promise<void> {
    const picture = this.pictures.find(file.replace(/\.png$/, ''));
    try {
      if (picture?.fault === 'slow') await this.generation.wait(SLOW_PICTURE_MS);
    } catch {
      response.destroy();
      return;
    }
    const png = picture && picture.fault !== '404' ? await this.pictures.bytes(picture) : null;
    if (png) response.type('png').set('cache-control', 'public, max-age=31536000, immutable').send(png);
    else response.status(404).type('text').send('Not Found');
  }

  private keep(work: Promise<void>): void {
    const kept = work.catch(() => undefined).finally(() => this.inBackground.delete(kept));
    this.inBackground.add(kept);
  }
}

function statusOf(outcome: Outcome): number {
  return outcome.success ? 200 : API_ERRORS[outcome.error.code].status;
}

function accepted(task: SandboxTask): object {
  const { id, traceId, request } = task;
  return request.isAsync ? { success: true, task_id: id, trace_id: traceId } : { task_id: id };
}
