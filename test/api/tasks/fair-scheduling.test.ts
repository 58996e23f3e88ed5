import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import {
  GenerateImagesDocument,
  type GenerateImagesInput,
  QueuePositionsDocument,
} from '../../../clients/operations.js';
import { type Answerer } from '../../support/net/http-peer.js';
import { TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';
import { addWorkspace } from '../../support/access/workspaces.js';

/** Two slots: the rest of what is asked for must wait. */
const CONCURRENCY = { UPSTREAM_CONCURRENCY: '2' };

let upstream: FakeUpstream;
let accept: Answerer;
/** The prompts in the order in which they reached the upstream, and the answers that they wait for. */
let sent: string[] = [];
let answers: (() => void)[] = [];
const apps: TestApp[] = [];
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  accept = upstream.submit;
});
afterEach(async () => {
  upstream.submit = accept;
  answers.splice(0).forEach((answer) => answer());
  await Promise.all(
    apps
      .splice(0)
      .reverse()
      .map((app) => app.stop()),
  );
});
afterAll(() => upstream.close());

/** Submissions wait for their answers, or get them at once. */
function answerSubmissions(when: 'told' | 'at once'): void {
  sent = [];
  answers = [];
  upstream.submit = (response, received) => {
    sent.push((JSON.parse(received.body) as { prompt: string }).prompt);
    if (when === 'told') answers.push(() => accept(response, received));
    else accept(response, received);
  };
}
async function start(options: { of?: TestApp; roles?: string } = {}): Promise<TestApp> {
  const { of, roles = 'api,worker' } = options;
  const environment = { ...upstream.environment, ...CONCURRENCY, ROLES: roles };
  const app = await TestApp.start({
    environment,
    ...(of && { databaseUrl: of.databaseUrl, key: of.key, dataDir: of.dataDir }),
  });
  apps.push(app);
  return app;
}
async function ask(app: TestApp, key: string, input: GenerateImagesInput): Promise<string> {
  const { generateImages } = await app.query(GenerateImagesDocument, { input }, key);
  if (!generateImages.task) throw new Error('Refused.');
  return generateImages.task.id;
}
async function askMany(app: TestApp, key: string, count: number, prompt: string): Promise<void> {
  let left = count;
  const lane = async () => {
    while (left-- > 0) await ask(app, key, { prompt });
  };
  await Promise.all(Array.from({ length: 8 }, lane));
}
async function positions(app: TestApp, key: string): Promise<Map<string, number | null>> {
  const { tasks } = await app.query(QueuePositionsDocument, { first: 100 }, key);
  return new Map(tasks.nodes.map(({ id, queuePosition }) => [id, queuePosition ?? null]));
}

describe('when more is queued than the upstream takes', () => {
  test('who asks for one gets the next free slot, although another asked for a hundred before', async () => {
    answerSubmissions('told');
    const app = await start();
    const other = await addWorkspace(app);
    await askMany(app, app.key, 100, 'one of a hundred');
    await waitFor('both slots to be taken', () => sent.length === 2);

    const id = await ask(app, other, { prompt: 'only one' });
    expect(await positions(app, other)).toEqual(new Map([[id, 1]]));
    const places = [...(await positions(app, app.key)).values()].map(Number).sort((a, b) => a - b);
    expect(places).toEqual(Array.from({ length: 98 }, (_, index) => index + 2));

    answers.shift()?.();
    await waitFor('the free slot to be taken', () => sent.length === 3);
    expect(sent[2]).toBe('only one');
    expect(await positions(app, other)).toEqual(new Map());
  });

  test('of one end user, the tasks that are wanted first go first', async () => {
    answerSubmissions('told');
    const app = await start();
    await askMany(app, app.key, 4, 'when there is time');
    await waitFor('both slots to be taken', () => sent.length === 2);
    const id = await ask(app, app.key, { prompt: 'at last', priority: 'LOW' });
    const first = await ask(app, app.key, { prompt: 'soon', priority: 'HIGH' });
    const places = await positions(app, app.key);
    expect([places.get(first), places.get(id)]).toEqual([1, 4]);
    for (let free = 3; free <= 6; free += 1) {
      answers.shift()?.();
      await waitFor('the free slot to be taken', () => sent.length === free);
    }
    expect(sent.slice(2)).toEqual(['soon', 'when there is time', 'when there is time', 'at last']);
  });

  test.each([1, 2])(
    'three workspaces of very different appetite get equal shares from %i instances',
    async (instances) => {
      answerSubmissions('at once');
      const door = await start({ roles: 'api' });
      const appetites = { huge: 300, middling: 60, small: 30 };
      for (const [name, count] of Object.entries(appetites)) {
        await askMany(door, await addWorkspace(door), count, name);
      }
      for (let n = 0; n < instances; n += 1) await start({ of: door, roles: 'worker' });
      await waitFor('everything to be sent', () => sent.length === 390, { timeoutMs: 60_000 });
      // Until the smallest has nothing left; what is under way at the same time can arrive in any order.
      for (const name of Object.keys(appetites)) {
        const share = sent.slice(0, 90).filter((prompt) => prompt === name).length;
        expect(Math.abs(share - 30)).toBeLessThanOrEqual(3);
      }
    },
    120_000,
  );
});
