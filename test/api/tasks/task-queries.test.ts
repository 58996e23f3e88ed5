import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  EditImageDocument,
  TaskHistoryDocument,
  type TaskFilter,
  type TasksQuery,
  TasksDocument,
} from '../../../clients/operations.js';
import { TestApp, typesOf } from '../../support/app/test-app.js';

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

describe('tasks', () => {
  test('come newest first, and pages walk over all of them once while new ones are added', async () => {
    const made: string[] = [];
    for (let number = 1; number <= 12; number += 1) {
      made.push((await app.generate({ prompt: `walk ${number}` })).id);
    }
    const walked: string[] = [];
    let after: string | undefined;
    for (let pages = 1; ; pages += 1) {
      const { nodes, edges, pageInfo } = await page({ search: 'walk' }, 5, after);
      expect(edges.map((edge) => edge.node.id)).toEqual(nodes.map((task) => task.id));
      expect(pageInfo).toMatchObject({
        hasPreviousPage: pages > 1,
        startCursor: edges[0]?.cursor,
        endCursor: edges.at(-1)?.cursor,
      });
      walked.push(...nodes.map((task) => task.id));
      await app.generate({ prompt: `walk, later ${pages}` });
      if (!pageInfo.hasNextPage) break;
      after = pageInfo.endCursor ?? '';
    }
    expect(walked).toEqual(made.reverse());
  });

  test('a last page that is exactly full says that nothing follows', async () => {
    for (const number of [1, 2]) await app.generate({ prompt: `full ${number}` });
    const { nodes, pageInfo } = await page({ search: 'full' }, 2);
    expect(nodes).toHaveLength(2);
    expect(pageInfo.hasNextPage).toBe(false);
  });

  test('can be filtered by status, kind, model, time and words, and by all of them together', async () => {
    const dev = await app.generate({ prompt: 'filter: a red fox', model: 'flux-dev' });
    await app.settled(dev.id);
    const pro = await app.generate({ prompt: 'filter: a RED fox jumps', model: 'flux-pro' });
    await app.settled(pro.id);
    const failed = await app.generate({ prompt: 'filter: a grey wolf [sandbox: error=forbidden]' });
    await app.settled(failed.id);
    const input = { prompt: 'filter: a blue fox', sourceImageUrl: `${app.url}/healthz` };
    const edit = (await app.query(EditImageDocument, { input })).editImage.task;
    await app.settled(edit?.id ?? '');
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
    const both = { search, statuses: ['SUCCEEDED', 'FAILED'], models: ['flux-dev'] } satisfies TaskFilter;
    await expect(prompts(both)).resolves.toEqual([failed.prompt, dev.prompt]);
    await expect(prompts({ ...both, kinds: ['EDIT'] })).resolves.toEqual([]);

    const at = (id: string) => new Date(parseInt(id.replace('-', '').slice(0, 12), 16)).toISOString();
    await expect(prompts({ search, createdAfter: at(failed.id) })).resolves.toEqual([
      input.prompt,
      failed.prompt,
    ]);
    await expect(prompts({ search, createdBefore: at(failed.id) })).resolves.toEqual([
      pro.prompt,
      dev.prompt,
    ]);
    await expect(prompts({ search, createdAfter: at(dev.id), createdBefore: at(pro.id) })).resolves.toEqual([
      dev.prompt,
    ]);
  });
});

describe('a task', () => {
  test('gives its history in pages, oldest first', async () => {
    const { id } = await app.generate({ prompt: 'a history in pages [sandbox: delay=200ms]', count: 3 });
    await app.settled(id);
    const types: string[] = [];
    let after: string | null | undefined;
    do {
      const { task } = await app.query(TaskHistoryDocument, { id, first: 2, after });
      types.push(...typesOf(task?.events.nodes ?? []));
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

  test('refuses a page of its history that cannot be', async () => {
    const { id } = await app.generate({ prompt: 'pages that cannot be' });
    for (const [variables, code] of [
      [{ first: 0 }, 'BAD_REQUEST'],
      [{ first: 101 }, 'BAD_REQUEST'],
      [{ first: 10, after: 'nonsense' }, 'CURSOR_INVALID'],
    ] as const) {
      const { errors } = await app.post(TaskHistoryDocument, { id, ...variables });
      expect(errors?.[0]?.extensions).toEqual({ code });
    }
  });

  test.each<unknown>([
    { z: 1, a: { y: [1, null, 'x'], b: true } },
    ['a', { '': 0 }],
    'a text with "quotes", \0 and 😀',
    0,
    false,
    { ['__proto__x']: 1, constructor: 'c' },
  ])('gives metadata back untouched, its keys in their order: %j', async (metadata) => {
    const { id } = await app.generate({ prompt: 'metadata', metadata });
    const task = await app.task(id);
    expect(JSON.stringify(task.metadata)).toBe(JSON.stringify(metadata));
  });

  test('read, then watched after its cursor, misses no event at whatever moment it was read', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { id } = await app.generate({
        prompt: `read and watched ${round} [sandbox: delay=${round * 5}ms]`,
      });
      const { cursor, status } = await app.task(id);
      const watch = app.watchTask(id, cursor);
      await watch.ended;
      const settled = (await app.history(id)).map((event) => event.id);
      const received = watch.received.map((event) => event.id);
      expect(received).toEqual(settled.slice(settled.length - received.length));
      if (status !== 'SUCCEEDED') expect(typesOf(watch.received)).toContain('TASK_SUCCEEDED');
    }
  });
});
