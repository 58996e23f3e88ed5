import { type Logger } from 'pino';
import { UpstreamError } from '../core/errors.js';
import { HttpClient } from '../net/http-client.js';
import { RequestFailed } from '../net/request-failed.js';
import { type Answer, errorInAnswer, errorWithoutAnswer, type Purpose } from './acedata-errors.js';
import { resultOfCallback, resultOfSubmit, resultOfTask } from './acedata-results.js';
import {
  type Accepted,
  type FluxMode,
  type SubmitRequest,
  type Succeeded,
  type UpstreamResult,
} from './acedata-types.js';
import { parseJson, readReply, readTasks, type WireReply } from './acedata-wire.js';

export type * from './acedata-types.js';

/** The word for an edit: the upstream's guide and its specification disagree. */
export type EditAction = 'edit' | 'edits';

export interface AceDataOptions {
  /** With or without a slash at its end. */
  baseUrl: string;
  /** Not empty. */
  token: string;
  mode: FluxMode;
  /** Fixes the word for an edit. Without it the one that works is found out by the first edit. */
  editAction?: EditAction;
  log: Logger;
  /** For a submit that is answered at once. Default 1 min: giving up early makes a paid request ambiguous. */
  submitTimeoutMs?: number;
  /** For a submit in the mode `wait`. Default 5 min; the provider says 5 s to 2 min. */
  waitTimeoutMs?: number;
  /** Default 30 s. */
  readTimeoutMs?: number;
  /** For TCP and TLS. Default 10 s. */
  connectTimeoutMs?: number;
}

/** How many tasks one reading may ask for: the upstream's limit. */
export const MAX_READ_IDS = 50;

/**
 * The Flux Images API of Ace Data Cloud. Sends each request once (an edit at most twice, see `submit`); whether and when
 * to try again stands in the UpstreamError that it throws. Logs no token, no link and no prompt.
 */
export class AceData {
  private readonly http: HttpClient;
  private readonly options: AceDataOptions;
  private readonly baseUrl: string;
  private editWord: EditAction;

  constructor(options: AceDataOptions) {
    this.options = options;
    this.baseUrl = options.baseUrl.replace(/\/+$/, '');
    this.editWord = options.editAction ?? 'edits';
    this.http = new HttpClient({ connectTimeoutMs: options.connectTimeoutMs });
  }

  /**
   * Asks for pictures, which is billed. Throws UpstreamError; its `outcome` tells whether a picture may be in the making.
   * An edit whose action the upstream does not know is sent once more with the other word: nothing was made of the first.
   */
  async submit(request: SubmitRequest): Promise<Accepted | Succeeded> {
    if (request.kind === 'GENERATE') return await this.send(request, 'generate');
    const word = this.editWord;
    try {
      return await this.send(request, word);
    } catch (error) {
      if (this.options.editAction || !isUnknownAction(error)) throw error;
      const other = word === 'edits' ? 'edit' : 'edits';
      this.options.log.info(
        { refused: word, trying: other },
        'the upstream does not know this word for an edit',
      );
      const result = await this.send(request, other);
      this.editWord = other;
      return result;
    }
  }

  /**
   * What became of these tasks, by their ids, in one request that costs nothing. Ids that the upstream does not know are
   * absent. Throws RangeError for more than 50 ids, and UpstreamError when there is no usable answer.
   */
  async readTasks(upstreamTaskIds: readonly string[]): Promise<Map<string, UpstreamResult>> {
    const ids = [...new Set(upstreamTaskIds)];
    if (ids.length > MAX_READ_IDS) {
      throw new RangeError(`At most ${MAX_READ_IDS} tasks can be read at once, not ${ids.length}.`);
    }
    if (ids.length === 0) return new Map();
    const timeoutMs = this.options.readTimeoutMs ?? 30_000;
    const answer = await this.post('read', '/flux/tasks', { action: 'retrieve_batch', ids }, timeoutMs);
    const tasks = isOk(answer.status) ? readTasks(answer.json) : null;
    if (tasks === null) throw errorInAnswer(answer, 'read');
    return new Map(
      tasks.flatMap((task) =>
        task.id !== null && ids.includes(task.id) ? [[task.id, resultOfTask(task)]] : [],
      ),
    );
  }

  /** What a callback's body says. Null when it is not JSON or says nothing that can be recognised: answer it with 400. */
  parseCallback(body: Buffer): UpstreamResult | null {
    const says = readReply(parseJson(body.toString('utf8')));
    return says && resultOfCallback(says);
  }

  /** Waits for the requests under way, then closes the connections. */
  async close(): Promise<void> {
    await this.http.close();
  }

  /** Cuts what is under way, at the end of the process: such a submit may have arrived, and is not confirmed. */
  async destroy(): Promise<void> {
    await this.http.destroy();
  }

  private async send(request: SubmitRequest, action: 'generate' | EditAction): Promise<Accepted | Succeeded> {
    const { mode, submitTimeoutMs = 60_000, waitTimeoutMs = 300_000 } = this.options;
    const timeoutMs = mode === 'wait' ? waitTimeoutMs : submitTimeoutMs;
    const answer = await this.post('submit', '/flux/images', submitBody(request, action, mode), timeoutMs);
    const result = isOk(answer.status) && answer.says ? resultOfSubmit(answer.says) : null;
    if (result === null) throw errorInAnswer(answer, 'submit');
    return result;
  }

  private async post(
    purpose: Purpose,
    path: string,
    body: object,
    timeoutMs: number,
  ): Promise<Answer & { json: unknown }> {
    try {
      const reply = await this.http.postJson(this.baseUrl + path, body, {
        headers: { authorization: `Bearer ${this.options.token}` },
        timeoutMs,
        freshConnection: purpose === 'submit',
      });
      const json = parseJson(reply.body);
      const says = this.withoutToken(readReply(reply.body.trim() === '' ? {} : json));
      return { status: reply.status, headers: reply.headers, says, json };
    } catch (error) {
      throw error instanceof RequestFailed ? errorWithoutAnswer(error, purpose) : error;
    }
  }

  /** An upstream that quotes our token in a complaint must not bring it into a message of ours. */
  private withoutToken(says: WireReply | null): WireReply | null {
    if (!says?.error?.message) return says;
    const message = says.error.message.replaceAll(this.options.token, '(token)');
    return { ...says, error: { ...says.error, message } };
  }
}

/** Only fields that mean something: what the upstream makes of a null is not documented. */
function submitBody(request: SubmitRequest, action: 'generate' | EditAction, mode: FluxMode): object {
  const { prompt, model, size, count, sourceImageUrl, callbackUrl } = request;
  return {
    action,
    prompt,
    model,
    ...(size !== null && { size }),
    ...(action === 'generate' ? { count } : sourceImageUrl !== null && { image_url: sourceImageUrl }),
    ...(mode === 'async' && { async: true }),
    ...(mode !== 'wait' && callbackUrl !== null && { callback_url: callbackUrl }),
  };
}

function isUnknownAction(error: unknown): boolean {
  if (!(error instanceof UpstreamError) || error.outcome !== 'refused') return false;
  return error.failure.upstreamCode === 'api_not_implemented';
}

function isOk(status: number): boolean {
  return status >= 200 && status < 300;
}
