import { describe, expect, test } from '@jest/globals';
import { TestApp, typesOf } from '../../support/app/test-app.js';

/** Runs `work` with a service of its own. */
async function withApp(environment: Record<string, string>, work: (app: TestApp) => Promise<void>) {
  const app = await TestApp.start({ environment, tuning: { askUpstreamAfterMs: 200 } });
  try {
    await work(app);
  } finally {
    await app.stop();
  }
}

describe('FLUX_MODE', () => {
  test.each([
    ['callback', ['TASK_REQUESTED', 'TASK_SUBMITTED', 'TASK_SUCCEEDED', 'IMAGE_STORED']],
    ['async', ['TASK_REQUESTED', 'TASK_SUBMITTED', 'TASK_SUCCEEDED', 'IMAGE_STORED']],
    ['wait', ['TASK_REQUESTED', 'TASK_SUCCEEDED', 'IMAGE_STORED']],
  ])('%s brings the pictures, and they are made once', async (mode, events) => {
    await withApp({ FLUX_MODE: mode }, async (app) => {
      const { id } = await app.generate({ prompt: `made by ${mode}`, count: 2 });
      const task = await app.settled(id);
      expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 2 });
      expect(task.images.every((image) => image.storedAt)).toBe(true);
      expect([...new Set(typesOf(await app.history(id)))]).toEqual(events);
      await expect(app.billed('made by')).resolves.toMatchObject({ total: 1, pictures: 2 });
    });
  });

  test('wait tells a failure of the generation with the code that the upstream gave', async () => {
    await withApp({ FLUX_MODE: 'wait' }, async (app) => {
      const { id } = await app.generate({ prompt: 'refused late [sandbox: fail=forbidden]' });
      await expect(app.settled(id)).resolves.toMatchObject({
        status: 'FAILED',
        error: { code: 'CONTENT_REJECTED', upstreamCode: 'forbidden', retryable: false },
      });
    });
  });
});
