import sharp from 'sharp';
import { queryField } from '../app/graphql-request.js';
import { pathAndQuery, type TestApp } from '../app/test-app.js';
import { type FakeUpstream } from '../upstreams/fake-upstream.js';
import { waitFor } from '../wait-for.js';

/** Who creates resources. */
export interface ResourceOwner {
  apiKey: string;
  /** Returns a new text that occurs nowhere else: see `WorkspaceFixture.marker`. */
  marker: () => string;
}

export const CREATE_UPLOAD = `mutation ($input: CreateUploadInput!) { createUpload(input: $input) { upload { imageId url } } }`;

/** The single steps of filling a workspace. */
export class ResourceBuilder {
  constructor(
    private readonly app: TestApp,
    private readonly upstream: FakeUpstream,
  ) {}

  /** Creates a task with a mutation whose result is aliased as `created`, and returns its ID. */
  async createTask(document: string, input: object, apiKey: string): Promise<string> {
    const { task, userErrors } = await queryField<{ task: { id: string } | null; userErrors: object[] }>(
      this.app,
      document,
      { input },
      apiKey,
    );
    if (!task) throw new Error(`The task was rejected: ${JSON.stringify(userErrors)}`);
    return task.id;
  }

  /** Uploads an image and returns its ID. */
  async uploadImage({ apiKey, marker }: ResourceOwner): Promise<string> {
    const { upload } = await queryField<{ upload: { imageId: string; url: string } }>(
      this.app,
      CREATE_UPLOAD,
      { input: { fileName: marker() } },
      apiKey,
    );
    const red = { create: { width: 8, height: 8, channels: 3, background: 'red' } } as const;
    const body = new Uint8Array(await sharp(red).png().toBuffer());
    const { status } = await fetch(this.app.url + pathAndQuery(upload.url), { method: 'PUT', body });
    if (status !== 201) throw new Error(`The upload returned ${status}.`);
    return upload.imageId;
  }

  /** Posts an upstream callback for the task with this prompt. */
  async postCallback(prompt: string, body: object | string): Promise<void> {
    await this.app.postBody(await this.upstream.callbackPath(prompt), body);
  }

  /** The body of a callback with `count` images. */
  successBody(marker: () => string, count: number): object {
    const data = Array.from({ length: count }, (_, seed) => ({
      ...{ prompt: marker(), image_url: this.upstream.imageUrl(marker()), seed, timings: { inference: 1.5 } },
    }));
    return { success: true, task_id: marker(), trace_id: marker(), data };
  }

  /** Waits until an SQL condition on the row of a task holds. */
  async waitForTask(id: string, condition: string): Promise<void> {
    const find = () => this.app.rows(`SELECT 1 FROM tasks WHERE id = $1 AND ${condition}`, [id]);
    await waitFor(`${condition} of task ${id}`, async () => (await find()).length > 0, { timeoutMs: 20_000 });
  }

  async imageIds(taskId: string): Promise<string[]> {
    const rows = await this.app.rows<{ id: string }>(
      'SELECT id FROM images WHERE task_id = $1 ORDER BY index',
      [taskId],
    );
    return rows.map(({ id }) => id);
  }
}
