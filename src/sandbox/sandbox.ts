import { Router, type Request, type Response } from 'express';
import { type Logger } from 'pino';
import { z } from 'zod';
import { FLUX_ERRORS } from '../core/flux-api/flux-errors.js';
import { tasksActionOf } from '../core/flux-api/flux-fields.js';
import { AccountOutage, outageSchema } from './http/account-outage.js';
import { requireBearer } from './http/bearer.js';
import { ApiRefusal } from './http/api-refusal.js';
import { jsonBody } from './http/json-body.js';
import { SandboxGenerator } from './sandbox-generator.js';
import { SandboxHttpClient } from './http/sandbox-http-client.js';
import { parseFields, parseSandboxRequest, parseAction, requireFields } from './http/parse-request.js';
import { ChargeList } from './state/charge-list.js';
import { SandboxImageStore } from './state/sandbox-image-store.js';
import { RefusalCounter } from './http/refusals.js';
import { createErrorHandler, sendReply } from './http/send-reply.js';
import { SandboxTaskStore, type GenerationOutcome, type SandboxTask } from './state/sandbox-task-store.js';

export interface SandboxOptions {
  /** The required bearer token. If absent, any non-empty token is accepted. */
  token?: string;
  /** Returns the URL at which the router is mounted, such as `http://127.0.0.1:4000/sandbox`. Called for every image link. */
  publicUrl: () => string;
  log: Logger;
  /** How long a generation takes unless its prompt says otherwise, in milliseconds. Default 1500. */
  delayMs?: number;
}

/** Long enough to see a task run, short enough to wait for. The real API takes 5 s to 2 min. */
const DEFAULT_DELAY_MS = 1500;
/** Delay of an image with the `slow` fault. */
const SLOW_IMAGE_DELAY_MS = 2_000;
/** The API's own limit on `ids`. */
const MAX_BATCH_IDS = 50;

const retrieveSchema = z.object({ id: z.string() });
const retrieveBatchSchema = z.object({
  ids: z.array(z.string()).max(MAX_BATCH_IDS, `must be at most ${MAX_BATCH_IDS} ids`).optional(),
  created_at_min: z.number().min(0).default(0),
  created_at_max: z.number().min(0).default(Infinity),
  offset: z.int().min(0).default(0),
  limit: z
    .int()
    .min(0)
    .default(MAX_BATCH_IDS)
    .transform((limit) => Math.min(limit, MAX_BATCH_IDS)),
  type: z.string().default('images'),
});

/**
 * A local stand-in for the Flux Images API, with the same paths, replies and errors. It paints images for free, simulates
 * faults on demand, and lists the generations that the real API would have billed. Its state is in memory and bounded.
 */
export class Sandbox {
  readonly router: Router;
  private readonly closeController = new AbortController();
  private readonly http = new SandboxHttpClient(this.closeController.signal);
  private readonly charges = new ChargeList();
  private readonly images = new SandboxImageStore();
  private readonly tasks = new SandboxTaskStore();
  private readonly refusalCounter = new RefusalCounter();
  private readonly outage = new AccountOutage();
  private readonly generator: SandboxGenerator;
  private readonly backgroundWork = new Set<Promise<void>>();

  constructor(options: SandboxOptions) {
    const { publicUrl, log, delayMs: defaultDelayMs = DEFAULT_DELAY_MS } = options;
    const { http, charges, images } = this;
    const { signal } = this.closeController;
    this.generator = new SandboxGenerator({ http, images, charges, signal, log, publicUrl, defaultDelayMs });

    const api = [requireBearer(options.token), ...jsonBody];
    this.router = Router();
    this.router.post('/flux/images', api, (request: Request, response: Response) =>
      this.handleSubmit(request, response),
    );
    this.router.post('/flux/tasks', api, (request: Request, response: Response) => {
      response.json(this.handleRetrieve(request.body));
    });
    this.router.put('/outage', api, (request: Request, response: Response) => {
      this.outage.begin(parseFields(outageSchema, request.body));
      response.status(204).end();
    });
    this.router.get('/images/:file', (request, response) => this.sendImage(request.params.file, response));
    this.router.get('/ledger', (request, response) => {
      const { prompt } = request.query;
      response.json(this.charges.page(typeof prompt === 'string' ? prompt : ''));
    });
    this.router.use(() => {
      throw new ApiRefusal('no_api');
    });
    this.router.use(createErrorHandler(log));
  }

  /** Aborts every generation, callback and open connection. Their tasks never finish. */
  async close(): Promise<void> {
    this.closeController.abort();
    await this.http.close();
    await Promise.allSettled(this.backgroundWork);
  }

  private async handleSubmit(request: Request, response: Response): Promise<void> {
    this.outage.throwIfRefused('submission');
    const imageRequest = parseSandboxRequest(request.body);
    this.refusalCounter.throwIfRefused(imageRequest);
    const task = this.tasks.create(imageRequest);
    const outcomePromise = this.generator.run(task);
    const { callbackUrl, isAsync, directives } = imageRequest;
    const isSynchronous = callbackUrl === null && !isAsync;
    try {
      const outcome = isSynchronous ? await outcomePromise : null;
      const callback = outcomePromise.then((result) => this.generator.sendCallback(task, result));
      if (directives.callback === 'early') await callback;
      this.trackBackground(callback);
      const status = outcome ? statusOf(outcome) : 200;
      sendReply(response, { fault: directives.reply, status, reply: outcome ?? acceptedReply(task) });
    } catch (error) {
      if (!this.closeController.signal.aborted) throw error;
      response.destroy();
    }
  }

  private handleRetrieve(body: unknown): object {
    this.outage.throwIfRefused('read');
    const fields = requireFields(body);
    const retrieve = parseAction(tasksActionOf(fields), {
      retrieve: () => this.tasks.retrieve(parseFields(retrieveSchema, fields).id),
      retrieve_batch: () => {
        const { ids, ...listing } = parseFields(retrieveBatchSchema, fields);
        return ids ? this.tasks.retrieveBatch(ids) : this.tasks.list(listing);
      },
    });
    return retrieve();
  }

  private async sendImage(file: string, response: Response): Promise<void> {
    const image = this.images.find(file.replace(/\.png$/, ''));
    try {
      if (image?.fault === 'slow') await this.generator.wait(SLOW_IMAGE_DELAY_MS);
    } catch {
      response.destroy();
      return;
    }
    const png = image && image.fault !== '404' ? await this.images.readPng(image) : null;
    if (png) response.type('png').set('cache-control', 'public, max-age=31536000, immutable').send(png);
    else response.status(404).type('text').send('Not Found');
  }

  private trackBackground(work: Promise<void>): void {
    const tracked = work.catch(() => undefined).finally(() => this.backgroundWork.delete(tracked));
    this.backgroundWork.add(tracked);
  }
}

function statusOf(outcome: GenerationOutcome): number {
  return outcome.success ? 200 : FLUX_ERRORS[outcome.error.code].status;
}

function acceptedReply(task: SandboxTask): object {
  const { id, traceId, request } = task;
  return request.isAsync ? { success: true, task_id: id, trace_id: traceId } : { task_id: id };
}
