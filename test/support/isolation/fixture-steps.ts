import sharp from 'sharp';
import { type FakeUpstream } from '../upstreams/fake-upstream.js';
import { answerOf } from '../app/graphql-request.js';
import { pathOf, type TestApp } from '../app/test-app.js';
import { waitFor } from '../wait-for.js';

/** On whose behalf things are made. */
export interface Maker {
  key: string;
  /** A text of its own. */
  word: () => string;
}

export const UPLOAD = `mutation ($input: CreateUploadInput!) { createUpload(input: $input) { upload { imageId url } } }`;

/** The single steps of filling a workspace. */
export class Steps {
  constructor(
    private readonly app: TestApp,
    private readonly upstream: FakeUpstream,
  ) {}

  async make(document: string, input: object, key: string): Promise<string> {
    const made = await answerOf<{ task: { id: string } | null; userErrors: object[] }>(
      this.app,
      document,
      { input },
      key,
    );
    if (!made.task) throw new Error(`It was refused: ${JSON.stringify(made.userErrors)}`);
    return made.task.id;
  }

  /** The link to a picture that was uploaded, and its id. */
  async upload({ key, word }: Maker): Promise<string> {
    const { upload } = await answerOf<{ upload: { imageId: string; url: string } }>(
      this.app,
      UPLOAD,
      { input: { fileName: word() } },
      key,
    );
    const red = { create: { width: 8, height: 8, channels: 3, background: 'red' } } as const;
    const body = new Uint8Array(await sharp(red).png().toBuffer());
    const { status } = await fetch(this.app.url + pathOf(upload.url), { method: 'PUT', body });
    if (status !== 201) throw new Error(`The upload was answered ${status}.`);
    return upload.imageId;
  }

  async answer(prompt: string, body: object | string): Promise<void> {
    await this.app.send(await this.upstream.callbackPath(prompt), body);
  }

  pictures(word: () => string, count: number): object {
    const data = Array.from({ length: count }, (_, seed) => ({
      ...{ prompt: word(), image_url: this.upstream.pictureUrl(word()), seed, timings: { inference: 1.5 } },
    }));
    return { success: true, task_id: word(), trace_id: word(), data };
  }

  async until(id: string, condition: string): Promise<void> {
    const find = () => this.app.rows(`SELECT 1 FROM tasks WHERE id = $1 AND ${condition}`, [id]);
    await waitFor(`${condition} of task ${id}`, async () => (await find()).length > 0, { timeoutMs: 20_000 });
  }

  async imagesOf(taskId: string): Promise<string[]> {
    const rows = await this.app.rows<{ id: string }>(
      'SELECT id FROM images WHERE task_id = $1 ORDER BY index',
      [taskId],
    );
    return rows.map(({ id }) => id);
  }
}
