import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  EditImageDocument,
  TaskHistoryDocument,
  type TaskFilter,
  type TasksQuery,
  TasksDocument,
} from '../../../clients/operations.js';
import { TestApp, eventTypes } from '../../support/app/test-app.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({ tuning: { sandboxDelayMs: 0 } });
});
afterAll(() => app.stop());

async function page(filter: TaskFilter, first = 100, after?: string): Promise<TasksQuery['tasks']> {
  return (await app.query(TasksDocument, { first, after, filter })).tasks;
}
async function prompts(filter: TaskFilter): Promise<string[]> {
  return (await page(filter)).nodes.map((task) => task.prompt);
}

describe('the tasks query', () => {
  test('returns tasks newest first, and its pages contain each task once while new tasks are created', async () => {
    const createdIds: string[] = [];
    for (let number = 1; number <= 12; number += 1) {
      createdIds.push((await app.generate({ prompt: `walk ${number}` })).id);
    }
    const pagedIds: string[] = [];
    let after: string | undefined;
    for (let pageNumber = 1; ; pageNumber += 1) {
      const { nodes, edges, pageInfo } = await page({ search: 'walk' }, 5, after);
      expect(edges.map((edge) => edge.node.id)).toEqual(nodes.map((task) => task.id));
      expect(pageInfo).toMatchObject({
        hasPreviousPage: pageNumber > 1,
        startCursor: edges[0]?.cursor,
        endCursor: edges.at(-1)?.cursor,
      });
      pagedIds.push(...nodes.map((task) => task.id));
      await app.generate({ prompt: `walk, later ${pageNumber}` });
      if (!pageInfo.hasNextPage) break;
      after = pageInfo.endCursor ?? '';
    }
    expect(pagedIds).toEqual(createdIds.reverse());
  });

  test('reports no next page when the last page is exactly full', async () => {
    for (const number of [1, 2]) await app.generate({ prompt: `full ${number}` });
    const { nodes, pageInfo } = await page({ search: 'full' }, 2);
    expect(nodes).toHaveLength(2);
    expect(pageInfo.hasNextPage).toBe(false);
  });

  test('filters by status, kind, model, time and search words, and by all of them together', async () => {
    const dev = await app.generate({ prompt: 'filter: a red fox', model: 'flux-dev' });
    await app.waitUntilSettled(dev.id);
    const pro = await app.generate({ prompt: 'filter: a RED fox jumps', model: 'flux-pro' });
    await app.waitUntilSettled(pro.id);
    const failed = await app.generate({ prompt: 'filter: a grey wolf [sandbox: error=forbidden]' });
    await app.waitUntilSettled(failed.id);
    const input = { prompt: 'filter: a blue fox', sourceImageUrl: `${app.url}/healthz` };
    const edit = (await app.query(EditImageDocument, { input })).editImage.task;
    await app.waitUntilSettled(edit?.id ?? '');
    const all = [input.prompt, failed.prompt, pro.prompt, dev.prompt];

    const search = 'filter';
    await expect(prompts({ search })).resolves.toEqual(all);
    await expect(prompts({ search, statuses: [], kinds: [], models: [] })).resolves.toEqual(all);
    await expect(prompts({ search, statuses: ['SUCCEEDED'] })).resolves.toEqual([pro.prompt, dev.prompt]);
    await expect(prompts({ search, statuses: ['FAILED', 'SUCCEEDED', 'FAILED'] })).resolves.toEqual(all);
    await expect(prompts({ search, statuses: ['CANCELED'] })).resolves.toEqual([]);
    await expect(prompts({ search, kinds: ['EDIT'] })).resolves.toEqual([input.prompt]);
    await expect(prompts({ search, models: ['flux-pro', 'flux-kontext-pro'] })).resolves.toEqual([
      input.prompt,
      pro.prompt,
    ]);
    await expect(prompts({ search: 'filter red FOX' })).resolves.toEqual([pro.prompt, dev.prompt]);
    await expect(prompts({ search: 'filter fox -jumps' })).resolves.toEqual([input.prompt, dev.prompt]);
    await expect(prompts({ search: '   ' })).resolves.toEqual(expect.arrayContaining(all));
    const combined = { search, statuses: ['SUCCEEDED', 'FAILED'], models: ['flux-dev'] } satisfies TaskFilter;
    await expect(prompts(combined)).resolves.toEqual([failed.prompt, dev.prompt]);
    await expect(prompts({ ...combined, kinds: ['EDIT'] })).resolves.toEqual([]);

    const creationTime = (id: string) =>
      new Date(parseInt(id.replace('-', '').slice(0, 12), 16)).toISOString();
    await expect(prompts({ search, createdAfter: creationTime(failed.id) })).resolves.toEqual([
      input.prompt,
      failed.prompt,
    ]);
    await expect(prompts({ search, createdBefore: creationTime(failed.id) })).resolves.toEqual([
      pro.prompt,
      dev.prompt,
    ]);
    await expect(
      prompts({ search, createdAfter: creationTime(dev.id), createdBefore: creationTime(pro.id) }),
    ).resolves.toEqual([dev.prompt]);
  });

  test('finds prompts in any language, without regard to case, width and accents', async () => {
    const generated = ['Рыжий Кот', '一只白色的猫', 'ＣＡＦÉ in Łódź'];
    for (const prompt of generated) await app.generate({ prompt });
    const [russian, chinese, latin] = generated;
    const found: Record<string, string | undefined> = {
      кот: russian,
      рыж: russian,
      猫: chinese,
      白色的猫: chinese,
      cafe: latin,
      ŁÓDŹ: latin,
      lod: latin,
    };
    for (const [search, prompt] of Object.entries(found)) {
      await expect(prompts({ search })).resolves.toEqual([prompt]);
      await expect(prompts({ search, kinds: ['GENERATE'] })).resolves.toEqual([prompt]);
      await expect(prompts({ search, kinds: ['EDIT'] })).resolves.toEqual([]);
    }
  });
});

describe('a task', () => {
  test('returns its history in pages, oldest first', async () => {
    const { id } = await app.generate({ prompt: 'a history in pages [sandbox: delay=200ms]', count: 3 });
    await app.waitUntilSettled(id);
    const types: string[] = [];
    let after: string | null | undefined;
    do {
      const { task } = await app.query(TaskHistoryDocument, { id, first: 2, after });
      types.push(...eventTypes(task?.events.nodes ?? []));
      const pageInfo = task?.events.pageInfo;
      after = pageInfo?.hasNextPage ? pageInfo.endCursor : null;
    } while (after);
    expect(types).toEqual([
      'TASK_REQUESTED',
      'TASK_SUBMITTED',
      'TASK_SUCCEEDED',
      'IMAGE_STORED',
      'IMAGE_STORED',
      'IMAGE_STORED',
    ]);
  });

  test('rejects an invalid page of its history', async () => {
    const { id } = await app.generate({ prompt: 'invalid pages' });
    for (const [variables, code] of [
      [{ first: 0 }, 'BAD_REQUEST'],
      [{ first: 101 }, 'BAD_REQUEST'],
      [{ first: 10, after: 'nonsense' }, 'CURSOR_INVALID'],
    ] as const) {
      const { errors } = await app.execute(TaskHistoryDocument, { id, ...variables });
      expect(errors?.[0]?.extensions).toEqual({ code });
    }
  });

  test.each<unknown>([
    { z: 1, a: { y: [1, null, 'x'], b: true } },
    ['a', { '': 0 }],
    'a string with "quotes", \0 and 😀',
    0,
    false,
    { ['__proto__x']: 1, constructor: 'c' },
  ])('returns its metadata unchanged, with the keys in their order: %j', async (metadata) => {
    const { id } = await app.generate({ prompt: 'metadata', metadata });
    const task = await app.task(id);
    expect(JSON.stringify(task.metadata)).toBe(JSON.stringify(metadata));
  });

  test('has an eventCursor after which a subscription misses no event, whenever the task was read', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { id } = await app.generate({
        prompt: `read and subscribed to ${round} [sandbox: delay=${round * 5}ms]`,
      });
      const { eventCursor, status } = await app.task(id);
      const subscription = app.subscribeToTask(id, eventCursor);
      await subscription.ended;
      const history = (await app.history(id)).map((event) => event.id);
      const received = subscription.received.map((event) => event.id);
      expect(received).toEqual(history.slice(history.length - received.length));
      if (status !== 'SUCCEEDED') expect(eventTypes(subscription.received)).toContain('TASK_SUCCEEDED');
    }
  });
});
