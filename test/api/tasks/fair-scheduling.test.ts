import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import {
  GenerateImagesDocument,
  type GenerateImagesInput,
  QueuePositionsDocument,
} from '../../../clients/operations.js';
import { type RequestHandler } from '../../support/net/test-http-server.js';
import { TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';
import { addWorkspaceWithKey } from '../../support/access/workspaces.js';

/** Two submission slots, so that all other tasks must wait. */
const CONCURRENCY = { UPSTREAM_CONCURRENCY: '2' };

let upstream: FakeUpstream;
let accept: RequestHandler;
/** Prompts in the order of their submissions. */
let submittedPrompts: string[] = [];
/** Functions that reply to the submissions that still wait for a reply. */
let pendingReplies: (() => void)[] = [];
const apps: TestApp[] = [];
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  accept = upstream.onSubmit;
});
afterEach(async () => {
  upstream.onSubmit = accept;
  pendingReplies.splice(0).forEach((sendReply) => sendReply());
  await Promise.all(
    apps
      .splice(0)
      .reverse()
      .map((app) => app.stop()),
  );
});
afterAll(() => upstream.close());

/** Replies to submissions at once, or only when a test calls a function of `pendingReplies`. */
function replyToSubmissions(mode: 'on demand' | 'at once'): void {
  submittedPrompts = [];
  pendingReplies = [];
  upstream.onSubmit = (response, received) => {
    submittedPrompts.push((JSON.parse(received.body) as { prompt: string }).prompt);
    if (mode === 'on demand') pendingReplies.push(() => accept(response, received));
    else accept(response, received);
  };
}
async function start(options: { beside?: TestApp; roles?: string } = {}): Promise<TestApp> {
  const { beside, roles = 'api,worker' } = options;
  const environment = { ...upstream.environment, ...CONCURRENCY, ROLES: roles };
  const app = await TestApp.start({
    environment,
    ...(beside && { databaseUrl: beside.databaseUrl, apiKey: beside.apiKey, dataDir: beside.dataDir }),
  });
  apps.push(app);
  return app;
}
async function generate(app: TestApp, apiKey: string, input: GenerateImagesInput): Promise<string> {
  const { generateImages } = await app.query(GenerateImagesDocument, { input }, apiKey);
  if (!generateImages.task)
    throw new Error(`The input was rejected: ${JSON.stringify(generateImages.userErrors)}`);
  return generateImages.task.id;
}
async function generateMany(app: TestApp, apiKey: string, count: number, prompt: string): Promise<void> {
  let remaining = count;
  const sendRequests = async () => {
    while (remaining-- > 0) await generate(app, apiKey, { prompt });
  };
  await Promise.all(Array.from({ length: 8 }, sendRequests));
}
async function queuePositions(app: TestApp, apiKey: string): Promise<Map<string, number | null>> {
  const { tasks } = await app.query(QueuePositionsDocument, { first: 100 }, apiKey);
  return new Map(tasks.nodes.map(({ id, queuePosition }) => [id, queuePosition ?? null]));
}

describe('fair scheduling', () => {
  test('gives the next free slot to a workspace with one task, although another one queued a hundred before', async () => {
    replyToSubmissions('on demand');
    const app = await start();
    const otherApiKey = await addWorkspaceWithKey(app);
    await generateMany(app, app.apiKey, 100, 'one of a hundred');
    await waitFor('both slots to be taken', () => submittedPrompts.length === 2);

    const id = await generate(app, otherApiKey, { prompt: 'only one' });
    expect(await queuePositions(app, otherApiKey)).toEqual(new Map([[id, 1]]));
    const positions = [...(await queuePositions(app, app.apiKey)).values()].map(Number).sort((a, b) => a - b);
    expect(positions).toEqual(Array.from({ length: 98 }, (_, index) => index + 2));

    pendingReplies.shift()?.();
    await waitFor('the free slot to be taken', () => submittedPrompts.length === 3);
    expect(submittedPrompts[2]).toBe('only one');
    expect(await queuePositions(app, otherApiKey)).toEqual(new Map());
  });

  test('submits the tasks of one end user by priority', async () => {
    replyToSubmissions('on demand');
    const app = await start();
    await generateMany(app, app.apiKey, 4, 'normal priority');
    await waitFor('both slots to be taken', () => submittedPrompts.length === 2);
    const low = await generate(app, app.apiKey, { prompt: 'low priority', priority: 'LOW' });
    const high = await generate(app, app.apiKey, { prompt: 'high priority', priority: 'HIGH' });
    const positions = await queuePositions(app, app.apiKey);
    expect([positions.get(high), positions.get(low)]).toEqual([1, 4]);
    for (let submissions = 3; submissions <= 6; submissions += 1) {
      pendingReplies.shift()?.();
      await waitFor('the free slot to be taken', () => submittedPrompts.length === submissions);
    }
    expect(submittedPrompts.slice(2)).toEqual([
      'high priority',
      'normal priority',
      'normal priority',
      'low priority',
    ]);
  });

  test.each([1, 2])(
    'gives three workspaces with very different loads equal shares, with %i worker instances',
    async (instances) => {
      replyToSubmissions('at once');
      const api = await start({ roles: 'api' });
      const taskCounts = { huge: 300, middling: 60, small: 30 };
      for (const [name, count] of Object.entries(taskCounts)) {
        await generateMany(api, await addWorkspaceWithKey(api), count, name);
      }
      for (let n = 0; n < instances; n += 1) await start({ beside: api, roles: 'worker' });
      await waitFor('every submission', () => submittedPrompts.length === 390, { timeoutMs: 60_000 });
      // Until the smallest workspace has no task left. Submissions in progress at the same time can arrive in any order.
      for (const name of Object.keys(taskCounts)) {
        const share = submittedPrompts.slice(0, 90).filter((prompt) => prompt === name).length;
        expect(Math.abs(share - 30)).toBeLessThanOrEqual(3);
      }
    },
    120_000,
  );
});
