import { randomBytes } from 'node:crypto';
import { type FakeUpstream } from '../upstreams/fake-upstream.js';
import { answerOf } from '../app/graphql-request.js';
import { type TestApp } from '../app/test-app.js';
import { waitFor } from '../wait-for.js';
import { addWorkspace } from '../access/workspaces.js';
import {
  CREATE_KEY,
  CREATE_WORKSPACE,
  type MadeKey,
  REVOKE_KEY,
  ROTATE_KEY,
  VIEWER,
  type ViewerView,
} from '../access/access-operations.js';
import { createToken } from '../access/client-tokens.js';
import { type Maker, Steps, UPLOAD } from './fixture-steps.js';

/** A workspace, and what is good to ask for with its key. */
export interface Place {
  workspaceId: string;
  key: string;
  keyId: string;
  /** A text that nothing else has: all of this workspace begin alike. */
  word: () => string;
  own: Own;
}
/** Things of one's own, by what an argument names. */
export interface Own {
  task: string;
  running: string;
  image: string;
  apiKey: string;
  spareKey: string;
  callback: string;
  endUser: string;
}
const GENERATE = `mutation ($input: GenerateImagesInput!) { made: generateImages(input: $input) { task { id } userErrors { code message } } }`;
const EDIT = `mutation ($input: EditImageInput!) { made: editImage(input: $input) { task { id } userErrors { code message } } }`;
const RETRY = `mutation ($input: RetryTaskInput!) { made: retryTask(input: $input) { task { id } userErrors { code message } } }`;
const BUDGET = `mutation ($input: SetBudgetInput!) { setBudget(input: $input) { userErrors { code message } } }`;
const LIMITS = { requestsPerMinute: 9, generationsPerMinute: 9, generationsInFlight: 9, connections: 9 };
const ON_TASK = (name: string) =>
  `mutation ($id: ID!) { ${name}(input: { id: $id }) { userErrors { code } } }`;

/** Makes what workspaces can have, by the doors, with an upstream that the test directs. */
export class World {
  private readonly steps: Steps;

  constructor(
    private readonly app: TestApp,
    upstream: FakeUpstream,
    /** Where results are posted to. */
    private readonly receiver: string,
  ) {
    this.steps = new Steps(app, upstream);
  }

  /** A workspace with one of everything, but for what only a worker that has died leaves behind. */
  async place(): Promise<Place> {
    const { app } = this;
    const marker = `m${randomBytes(6).toString('hex')}`;
    let words = 0;
    const word = () => `${marker}w${String((words += 1)).padStart(4, '0')}`;
    const key = await addWorkspace(app);
    await app.rows('UPDATE api_keys SET name = $2 WHERE prefix = $1', [key.slice(0, 9), word()]);
    const { workspaceId, keyId } = await answerOf<ViewerView>(app, VIEWER, {}, key);
    await app.rows('UPDATE workspaces SET name = $2 WHERE id = $1', [workspaceId, word()]);
    const maker = { key, word };
    const endUser = word();
    const [apiKey, spareKey] = await this.administer(maker, endUser);
    const own = await this.things(maker, { endUserId: endUser });
    await this.things(maker, {});
    return { workspaceId, key, keyId, word, own: { ...own, apiKey, spareKey, endUser } };
  }

  /** One more task; its id and its prompt. */
  async leaveTask({ key, word }: Place): Promise<string[]> {
    const prompt = word();
    return [await this.steps.make(GENERATE, { prompt }, key), prompt];
  }

  /** What stays as it is while no worker runs: a task that waits, and one that a process was sending when it died. */
  async leaveWaiting(place: Place): Promise<void> {
    const { own, word } = place;
    await this.steps.make(GENERATE, { prompt: word(), endUserId: own.endUser }, place.key);
    const [id] = await this.leaveTask(place);
    await this.app.rows(`UPDATE tasks SET status = 'SUBMITTING' WHERE id = $1`, [id]);
    await waitFor('the log', async () => {
      const unsealed = await this.app.rows('SELECT FROM task_events WHERE position IS NULL');
      return unsealed.length === 0;
    });
  }

  /** Keys, tokens, budgets, another workspace, and a sign-in that failed; the ids of two keys that are good. */
  private async administer({ key, word }: Maker, endUserId: string): Promise<[string, string]> {
    const { app } = this;
    const create = () =>
      answerOf<MadeKey>(
        app,
        CREATE_KEY,
        { input: { name: word(), scopes: ['tasks:read'], limits: LIMITS } },
        key,
      );
    const [good, spare, revoked, rotated] = [await create(), await create(), await create(), await create()];
    await answerOf(app, REVOKE_KEY, { id: revoked.apiKey.id }, key);
    await answerOf(app, ROTATE_KEY, { id: rotated.apiKey.id }, key);
    await app.send(
      '/graphql',
      { query: '{ viewer { keyId } }' },
      { authorization: `Bearer ${revoked.secret}` },
    );
    await createToken(app, { endUserId }, key);
    await answerOf(app, 'mutation { rotateWebhookSecret(input: {}) { userErrors { code } } }', {}, key);
    await answerOf(app, CREATE_WORKSPACE, { name: word(), scopes: ['tasks:read'] }, key);
    for (const [scope, id] of [
      ['WORKSPACE', null],
      ['KEY', good.apiKey.id],
      ['END_USER', endUserId],
    ] as const)
      await answerOf(app, BUDGET, { input: { scope, id, amount: '1000', currency: 'USD' } }, key);
    return [good.apiKey.id, spare.apiKey.id];
  }

  /** Tasks in every state that a worker brings about, with what belongs to them. `whose`: more for their inputs. */
  async things(
    maker: Maker,
    whose: { endUserId?: string },
  ): Promise<Pick<Own, 'task' | 'running' | 'image' | 'callback'>> {
    const { app } = this;
    const { key, word } = maker;
    const make = (document: string, input: object) => this.steps.make(document, { ...input, ...whose }, key);
    const full = () => ({
      prompt: word(),
      metadata: { [word()]: word() },
      idempotencyKey: word(),
      callbackUrl: `${this.receiver}/${word()}`,
    });
    const wish = full();
    const task = await make(GENERATE, { ...wish, count: 2 });
    await this.steps.answer(wish.prompt, this.steps.pictures(word, 2));
    await this.steps.answer(wish.prompt, this.steps.pictures(word, 2));
    await this.steps.until(task, `status = 'SUCCEEDED' AND pending_images = 0`);
    const [image, deleted] = await this.steps.imagesOf(task);

    const failed = { ...full(), callbackUrl: `${this.receiver}/${word()}/drop` };
    const failedId = await make(GENERATE, failed);
    await this.steps.answer(failed.prompt, {
      success: false,
      task_id: word(),
      trace_id: word(),
      error: { code: 'forbidden', message: word() },
    });
    await this.steps.until(
      failedId,
      `status = 'FAILED' AND EXISTS (SELECT FROM deliveries WHERE task_id = tasks.id)`,
    );
    const retry = await this.steps.make(RETRY, { id: failedId, idempotencyKey: word() }, key);
    const running = { prompt: word() };
    const runningId = await make(GENERATE, running);
    await this.steps.answer(running.prompt, word());
    const late = full();
    const lateId = await make(GENERATE, late);
    const lost = { prompt: `${word()} drop` };
    const lostId = await make(GENERATE, lost);
    const edit = full();
    const editId = await make(EDIT, { ...edit, sourceImageId: image });
    await this.steps.answer(edit.prompt, this.steps.pictures(word, 1));
    const expired = full();
    const expiredId = await make(EDIT, { ...expired, sourceImageUrl: `${this.receiver}/${word()}.png` });
    for (const id of [retry, runningId, lateId, expiredId]) await this.steps.until(id, `status = 'RUNNING'`);
    await this.steps.until(lostId, `status = 'UNCONFIRMED'`);
    await app.rows(`UPDATE tasks SET deadline_at = now() WHERE id = $1`, [expiredId]);
    await this.steps.until(expiredId, `status = 'EXPIRED'`);
    await answerOf(app, ON_TASK('cancelTask'), { id: lateId }, key);
    await this.steps.answer(late.prompt, this.steps.pictures(word, 1));
    await this.steps.until(lateId, `pending_late = 0 AND late_count = 1`);
    await this.steps.until(editId, `status = 'SUCCEEDED' AND pending_images = 0`);

    await answerOf(app, UPLOAD, { input: { fileName: word() } }, key);
    const used = await this.steps.upload(maker);
    await make(EDIT, { ...full(), sourceImageId: used });
    await answerOf(app, ON_TASK('deleteImage'), { id: deleted }, key);
    const [malformed] = await app.rows<{ id: string }>(
      `SELECT id FROM callbacks WHERE task_id = $1 AND verdict = 'MALFORMED'`,
      [runningId],
    );
    await answerOf(app, ON_TASK('replayCallback'), { id: malformed?.id }, key).catch(() => undefined);
    await this.steps.until(
      task,
      `EXISTS (SELECT FROM deliveries WHERE task_id = tasks.id AND status_code = 200)`,
    );
    await answerOf(app, ON_TASK('redeliverCallback'), { id: task }, key);
    await this.steps.until(task, `(SELECT count(*) FROM deliveries WHERE task_id = tasks.id) > 1`);
    return { task, running: runningId, image: image ?? '', callback: malformed?.id ?? '' };
  }
}
