import { randomBytes } from 'node:crypto';
import {
  CREATE_KEY,
  CREATE_WORKSPACE,
  type CreatedKey,
  REVOKE_KEY,
  ROTATE_KEY,
  VIEWER,
  type ViewerFields,
} from '../access/access-operations.js';
import { createClientToken } from '../access/client-tokens.js';
import { addWorkspaceWithKey } from '../access/workspaces.js';
import { queryField } from '../app/graphql-request.js';
import { type TestApp } from '../app/test-app.js';
import { type FakeUpstream } from '../upstreams/fake-upstream.js';
import { waitFor } from '../wait-for.js';
import { CREATE_UPLOAD, ResourceBuilder, type ResourceOwner } from './resource-builder.js';

/** A workspace with resources, and a key to it. */
export interface WorkspaceFixture {
  workspaceId: string;
  apiKey: string;
  keyId: string;
  /** Returns a new text that occurs nowhere else. All markers of a workspace have the same prefix. */
  marker: () => string;
  own: OwnResources;
}

/** IDs of a caller's own resources, by what an argument can name. `endUser` is a text. */
export interface OwnResources {
  task: string;
  running: string;
  image: string;
  apiKey: string;
  spareKey: string;
  callback: string;
  endUser: string;
}

const GENERATE = `mutation ($input: GenerateImagesInput!) { created: generateImages(input: $input) { task { id } userErrors { code message } } }`;
const EDIT = `mutation ($input: EditImageInput!) { created: editImage(input: $input) { task { id } userErrors { code message } } }`;
const RETRY = `mutation ($input: RetryTaskInput!) { created: retryTask(input: $input) { task { id } userErrors { code message } } }`;
const SET_BUDGET = `mutation ($input: SetBudgetInput!) { setBudget(input: $input) { userErrors { code message } } }`;
const REDELIVER = `mutation ($taskId: ID!) { redeliverWebhook(input: { taskId: $taskId }) { userErrors { code } } }`;
const ROTATE_SECRET = 'mutation { rotateWebhookSecret(input: {}) { userErrors { code } } }';
const LIMITS = { requestsPerMinute: 9, generationsPerMinute: 9, generationsInFlight: 9, connections: 9 };
const mutationOnId = (name: string) =>
  `mutation ($id: ID!) { ${name}(input: { id: $id }) { userErrors { code } } }`;

/** Fills workspaces with everything they can hold, through the API, with an upstream that the test controls. */
export class WorkspaceBuilder {
  private readonly resources: ResourceBuilder;

  constructor(
    private readonly app: TestApp,
    upstream: FakeUpstream,
    /** Base URL of the webhook endpoint. */
    private readonly webhookUrl: string,
  ) {
    this.resources = new ResourceBuilder(app, upstream);
  }

  /** Creates a workspace with one of everything, except for the unfinished tasks of `addUnfinishedTasks`. */
  async createWorkspace(): Promise<WorkspaceFixture> {
    const { app } = this;
    const prefix = `m${randomBytes(6).toString('hex')}`;
    let count = 0;
    const marker = () => `${prefix}w${String((count += 1)).padStart(4, '0')}`;
    const apiKey = await addWorkspaceWithKey(app);
    await app.rows('UPDATE api_keys SET name = $2 WHERE prefix = $1', [apiKey.slice(0, 9), marker()]);
    const { workspaceId, keyId } = await queryField<ViewerFields>(app, VIEWER, {}, apiKey);
    await app.rows('UPDATE workspaces SET name = $2 WHERE id = $1', [workspaceId, marker()]);
    const owner = { apiKey, marker };
    const endUser = marker();
    const [validKeyId, spareKeyId] = await this.createAccessData(owner, endUser);
    const own = await this.createResources(owner, { endUserId: endUser });
    await this.createResources(owner, {});
    return {
      ...{ workspaceId, apiKey, keyId, marker },
      own: { ...own, apiKey: validKeyId, spareKey: spareKeyId, endUser },
    };
  }

  /** Creates one more task, and returns its ID and its prompt. */
  async addTask({ apiKey, marker }: Pick<WorkspaceFixture, 'apiKey' | 'marker'>): Promise<string[]> {
    const prompt = marker();
    return [await this.resources.createTask(GENERATE, { prompt }, apiKey), prompt];
  }

  /** Creates tasks that stay as they are while no worker runs: a queued one, and one whose worker died while submitting. */
  async addUnfinishedTasks({ own, apiKey, marker }: WorkspaceFixture): Promise<void> {
    await this.resources.createTask(GENERATE, { prompt: marker(), endUserId: own.endUser }, apiKey);
    const [id] = await this.addTask({ apiKey, marker });
    await this.app.rows(`UPDATE tasks SET status = 'SUBMITTING' WHERE id = $1`, [id]);
    await waitFor('every event to be sealed', async () => {
      const unsealed = await this.app.rows('SELECT FROM task_events WHERE position IS NULL');
      return unsealed.length === 0;
    });
  }

  /**
   * Creates API keys, a client token, budgets and another workspace, and fails an authentication. Returns the IDs of two
   * valid API keys.
   */
  private async createAccessData({ apiKey, marker }: ResourceOwner, endUserId: string) {
    const { app } = this;
    const create = () => {
      const input = { name: marker(), scopes: ['tasks:read'], limits: LIMITS };
      return queryField<CreatedKey>(app, CREATE_KEY, { input }, apiKey);
    };
    const [valid, spare, revoked, rotated] = [await create(), await create(), await create(), await create()];
    await queryField(app, REVOKE_KEY, { id: revoked.apiKey.id }, apiKey);
    await queryField(app, ROTATE_KEY, { id: rotated.apiKey.id }, apiKey);
    const withRevokedKey = { authorization: `Bearer ${revoked.secret}` };
    await app.postBody('/graphql', { query: '{ viewer { keyId } }' }, withRevokedKey);
    await createClientToken(app, { endUserId }, apiKey);
    await queryField(app, ROTATE_SECRET, {}, apiKey);
    await queryField(app, CREATE_WORKSPACE, { name: marker(), scopes: ['tasks:read'] }, apiKey);
    for (const [scope, scopeId] of [
      ['WORKSPACE', null],
      ['API_KEY', valid.apiKey.id],
      ['END_USER', endUserId],
    ] as const) {
      const input = { scope, scopeId, amount: '1000', currency: 'USD' };
      await queryField(app, SET_BUDGET, { input }, apiKey);
    }
    return [valid.apiKey.id, spare.apiKey.id] as const;
  }

  /** Creates tasks in every status that a worker leads to, with images, callbacks, webhooks and uploads. */
  async createResources(
    owner: ResourceOwner,
    extraInput: { endUserId?: string },
  ): Promise<Pick<OwnResources, 'task' | 'running' | 'image' | 'callback'>> {
    const { app, resources } = this;
    const { apiKey, marker } = owner;
    const createTask = (document: string, input: object) =>
      resources.createTask(document, { ...input, ...extraInput }, apiKey);
    const fullInput = () => ({
      prompt: marker(),
      metadata: { [marker()]: marker() },
      idempotencyKey: marker(),
      webhookUrl: `${this.webhookUrl}/${marker()}`,
    });
    const succeeded = fullInput();
    const taskId = await createTask(GENERATE, { ...succeeded, count: 2 });
    await resources.postCallback(succeeded.prompt, resources.successBody(marker, 2));
    await resources.postCallback(succeeded.prompt, resources.successBody(marker, 2));
    await resources.waitForTask(taskId, `status = 'SUCCEEDED' AND pending_images = 0`);
    const [imageId, deletedImageId] = await resources.imageIds(taskId);

    const failed = { ...fullInput(), webhookUrl: `${this.webhookUrl}/${marker()}/drop` };
    const failedId = await createTask(GENERATE, failed);
    await resources.postCallback(failed.prompt, {
      success: false,
      task_id: marker(),
      trace_id: marker(),
      error: { code: 'forbidden', message: marker() },
    });
    const hasAttempt = 'EXISTS (SELECT FROM webhook_attempts WHERE task_id = tasks.id)';
    await resources.waitForTask(failedId, `status = 'FAILED' AND ${hasAttempt}`);

    const retryId = await resources.createTask(RETRY, { id: failedId, idempotencyKey: marker() }, apiKey);
    const running = { prompt: marker() };
    const runningId = await createTask(GENERATE, running);
    await resources.postCallback(running.prompt, marker());
    const late = fullInput();
    const lateId = await createTask(GENERATE, late);
    const unconfirmedId = await createTask(GENERATE, { prompt: `${marker()} drop` });
    const edit = fullInput();
    const editId = await createTask(EDIT, { ...edit, sourceImageId: imageId });
    await resources.postCallback(edit.prompt, resources.successBody(marker, 1));
    const sourceImageUrl = `${this.webhookUrl}/${marker()}.png`;
    const expiredId = await createTask(EDIT, { ...fullInput(), sourceImageUrl });
    for (const id of [retryId, runningId, lateId, expiredId])
      await resources.waitForTask(id, `status = 'RUNNING'`);
    await resources.waitForTask(unconfirmedId, `status = 'UNCONFIRMED'`);
    await app.rows(`UPDATE tasks SET deadline_at = now() WHERE id = $1`, [expiredId]);
    await resources.waitForTask(expiredId, `status = 'EXPIRED'`);
    await queryField(app, mutationOnId('cancelTask'), { id: lateId }, apiKey);
    await resources.postCallback(late.prompt, resources.successBody(marker, 1));
    await resources.waitForTask(lateId, 'pending_late_images = 0 AND late_image_count = 1');
    await resources.waitForTask(editId, `status = 'SUCCEEDED' AND pending_images = 0`);
    // Instead of bytes that cannot be decoded, and of many attempts to download.
    await app.rows(
      `UPDATE images SET decode_error = $2, lost_reason = $3, upstream_url = upstream_url || '?expires=4102444800'
       WHERE task_id = $1`,
      [lateId, marker(), marker()],
    );

    await queryField(app, CREATE_UPLOAD, { input: { fileName: marker() } }, apiKey);
    const uploadedImageId = await resources.uploadImage(owner);
    await createTask(EDIT, { ...fullInput(), sourceImageId: uploadedImageId });
    await queryField(app, mutationOnId('deleteImage'), { id: deletedImageId }, apiKey);
    const [malformed] = await app.rows<{ id: string }>(
      `SELECT id FROM callbacks WHERE task_id = $1 AND verdict = 'MALFORMED'`,
      [runningId],
    );
    // The replay can fail, because the body cannot be parsed. It adds an audit entry in any case.
    await queryField(app, mutationOnId('replayCallback'), { id: malformed?.id }, apiKey).catch(
      () => undefined,
    );
    await resources.waitForTask(
      taskId,
      'EXISTS (SELECT FROM webhook_attempts WHERE task_id = tasks.id AND status_code = 200)',
    );
    await queryField(app, REDELIVER, { taskId }, apiKey);
    await resources.waitForTask(
      taskId,
      '(SELECT count(*) FROM webhook_attempts WHERE task_id = tasks.id) > 1',
    );
    return { task: taskId, running: runningId, image: imageId ?? '', callback: malformed?.id ?? '' };
  }
}
