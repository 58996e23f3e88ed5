import { type Logger } from 'pino';
import { UpstreamError } from '../core/tasks/upstream-error.js';
import { parseUpstreamJson } from '../core/primitives/encoding/upstream-json.js';
import { decodeLeniently } from '../core/primitives/encoding/utf8.js';
import { type Task } from '../core/tasks/task.js';
import { HttpClient } from '../net/http-client.js';
import { type OutgoingProxy } from '../net/outgoing-proxy.js';
import { RequestFailed } from '../net/request-failed.js';
import {
  type UpstreamResponse,
  errorFromResponse,
  errorFromFailedRequest,
  type RequestPurpose,
} from './acedata-errors.js';
import {
  type SubmitResult,
  toCallbackResult,
  toSubmitResult,
  toTaskResult,
  type UpstreamResult,
} from './acedata-results.js';
import { type EditAction, RequestWording, type Wording } from './acedata-wording.js';
import { parseReply, parseTasks, type WireReply } from './acedata-wire.js';
import { withoutTrailingSlashes } from '../core/primitives/url.js';

/**
 * How results are delivered. `callback`: the upstream posts them to the callback URL. `async`: the client reads them, and they
 * are also posted if there is a callback URL. `wait`: the upstream keeps the connection open until the result is ready.
 */
export type FluxMode = 'callback' | 'async' | 'wait';

/** A null `size` stands for the model's default, which is sent. */
export interface SubmitRequest extends Pick<Task, 'kind' | 'prompt' | 'model' | 'size'> {
  /** Number of images. Sent for GENERATE only, because an edit produces one image. */
  count: number;
  /** Sent for EDIT only. */
  sourceImageUrl: string | null;
  /** Sent if present, except in `wait` mode. */
  callbackUrl: string | null;
}

export type { EditAction };

export interface AceDataOptions {
  /** With or without a trailing slash. */
  baseUrl: string;
  /** Must not be empty. */
  token: string;
  mode: FluxMode;
  /** Fixes the `action` of edits. If absent, the first edit finds out which one works. */
  editAction?: EditAction;
  /** The proxy between this service and the upstream. */
  proxy?: OutgoingProxy;
  log: Logger;
  /**
   * Timeout for a submission in the modes `callback` and `async`. Default 1 min, because giving up makes a paid request
   * ambiguous.
   */
  submitTimeoutMs?: number;
  /** Timeout for a submission in `wait` mode. Default 5 min; the upstream documents 5 s to 2 min. */
  waitTimeoutMs?: number;
  /** Default 5 s, because overdue and running tasks wait for a read that hangs, and reading again is free. */
  readTimeoutMs?: number;
}

/** Until the other word is sent, when that was not certain to be allowed. Longer than PostgreSQL usually fails. */
const OTHER_WORD_DELAYS_MS: readonly number[] = Array<number>(6).fill(5_000);

/** The upstream's limit for the number of tasks in one read. */
export const MAX_READ_TASK_IDS = 50;

/**
 * Client for the Flux Images API of Ace Data Cloud. Sends each request once, and again only in other words after a refusal (see
 * `submit`). The UpstreamError that it throws says whether and when to retry. Never logs tokens, links or prompts.
 */
export class AceDataClient {
  private readonly http: HttpClient;
  private readonly baseUrl: string;
  private readonly wording: RequestWording;

  constructor(private readonly options: AceDataOptions) {
    this.http = new HttpClient({ proxy: options.proxy });
    this.baseUrl = withoutTrailingSlashes(options.baseUrl);
    this.wording = new RequestWording(options.editAction);
  }

  /**
   * Requests images, which is billed. Throws UpstreamError, whose `outcome` tells whether images may be produced anyway. When
   * the upstream refuses the `action` of an edit or the spelling of a size, nothing was made, and the request is sent once more
   * with the other word. If `maySendAgain` says no, because the task may have ended meanwhile, the error asks to send it later.
   * After any other outcome it is not sent again.
   */
  async submit(
    request: SubmitRequest,
    maySendAgain: () => Promise<boolean> = () => Promise.resolve(true),
  ): Promise<SubmitResult> {
    const tried: Wording[] = [];
    let wording: Wording | null = this.wording.first(request);
    for (;;) {
      tried.push(wording);
      try {
        const result = await this.sendSubmit(request, wording);
        this.wording.remember(request, tried);
        return result;
      } catch (error) {
        wording = this.wording.next(request, tried, error);
        if (!wording) throw error;
        if (!(await maySendAgain())) throw refusalOfWord(error);
        this.options.log.info(
          { refused: tried.at(-1), wording },
          'the upstream refused a word; trying the other one',
        );
      }
    }
  }

  /**
   * Reads the current results of these tasks by ID, in one request that is free. IDs unknown to the upstream are absent.
   * Throws RangeError for more than 50 IDs, and UpstreamError when there is no usable response.
   */
  async readTasks(upstreamTaskIds: readonly string[]): Promise<Map<string, UpstreamResult>> {
    const ids = [...new Set(upstreamTaskIds)];
    if (ids.length > MAX_READ_TASK_IDS) {
      throw new RangeError(`Cannot read ${ids.length} tasks at once. Pass at most ${MAX_READ_TASK_IDS} IDs.`);
    }
    if (ids.length === 0) return new Map();
    const timeoutMs = this.options.readTimeoutMs ?? 5_000;
    const body = { action: 'retrieve_batch', ids };
    const response = await this.post('/flux/tasks', { purpose: 'read', body, timeoutMs });
    const tasks = isOk(response.status) ? parseTasks(response.json) : null;
    if (tasks === null) throw errorFromResponse(response, 'read');
    return new Map(
      tasks.flatMap((task) =>
        task.task_id !== null && ids.includes(task.task_id) ? [[task.task_id, toTaskResult(task)]] : [],
      ),
    );
  }

  /** Parses the body of a callback. Null when it is not JSON or not recognizable; it should be answered with status 400. */
  parseCallback(body: Buffer): UpstreamResult | null {
    const reply = parseReply(parseUpstreamJson(decodeLeniently(body)));
    return reply && toCallbackResult(reply);
  }

  /** Closes the connections at once, when the process ends. Submissions in progress end as `unknown`. */
  async destroy(): Promise<void> {
    await this.http.destroy();
  }

  private async sendSubmit(request: SubmitRequest, wording: Wording): Promise<SubmitResult> {
    const { mode, submitTimeoutMs = 60_000, waitTimeoutMs = 300_000 } = this.options;
    const timeoutMs = mode === 'wait' ? waitTimeoutMs : submitTimeoutMs;
    const body = buildSubmitBody(request, wording, mode);
    const response = await this.post('/flux/images', { purpose: 'submit', body, timeoutMs });
    const { body: reply, status } = response;
    const result = reply && toSubmitResult(reply, { isOk: isOk(status) });
    if (result === null) throw errorFromResponse(response, 'submit');
    return result;
  }

  private async post(
    path: string,
    { purpose, body, timeoutMs }: { purpose: RequestPurpose; body: object; timeoutMs: number },
  ): Promise<UpstreamResponse & { json: unknown }> {
    try {
      const response = await this.http.postJson(this.baseUrl + path, body, {
        headers: { authorization: `Bearer ${this.options.token}` },
        timeoutMs,
        freshConnection: purpose === 'submit',
      });
      const json = parseUpstreamJson(response.body);
      const reply = parseReply(response.body.trim() === '' ? {} : json);
      return { ...response, body: this.redactToken(reply), json };
    } catch (error) {
      throw error instanceof RequestFailed ? errorFromFailedRequest(error, purpose) : error;
    }
  }

  /** Removes our token from an error message that quotes it, because that message may be passed on. */
  private redactToken(reply: WireReply | null): WireReply | null {
    if (!reply?.error?.message) return reply;
    const message = reply.error.message.replaceAll(this.options.token, '(token)');
    return { ...reply, error: { ...reply.error, message } };
  }
}

/** The refusal of a word, when the other one was not sent. It says nothing about the request. */
function refusalOfWord(error: unknown): unknown {
  if (!(error instanceof UpstreamError)) return error;
  return new UpstreamError('refused', error.failure, { retryDelaysMs: OTHER_WORD_DELAYS_MS, cause: error });
}

/**
 * Omits fields without a value, because the upstream does not document how it treats null. `wait` mode says so, because the default
 * of `async` differs between the upstream's documents.
 */
function buildSubmitBody(request: SubmitRequest, { action, size }: Wording, mode: FluxMode): object {
  const { prompt, model, count, sourceImageUrl, callbackUrl } = request;
  return {
    action,
    prompt,
    model,
    ...(size !== null && { size }),
    ...(action === 'generate' ? { count } : sourceImageUrl !== null && { image_url: sourceImageUrl }),
    ...(mode === 'async' && { async: true }),
    ...(mode === 'wait' && { async: false }),
    ...(mode !== 'wait' && callbackUrl !== null && { callback_url: callbackUrl }),
  };
}

function isOk(status: number): boolean {
  return status >= 200 && status < 300;
}
