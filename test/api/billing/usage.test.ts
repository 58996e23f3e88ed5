import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { UsageDocument, type UsageQueryVariables } from '../../../clients/operations.js';
import { TestApp } from '../../support/app/test-app.js';
import { addKey, addWorkspace } from '../../support/access/workspaces.js';

const FORMULA = '=HYPERLINK("http://x.example","click")';

let app: TestApp;
/** Around everything that is asked for here. */
let range: { from: string; to: string };
let today: string;
let ids: string[];
beforeAll(async () => {
  app = await TestApp.start({ environment: { PRICES_FILE: 'test/support/billing/prices.json' } });
  const hour = 3_600_000;
  range = { from: new Date(Date.now() - hour).toISOString(), to: new Date(Date.now() + hour).toISOString() };
  const wishes = [
    { model: 'flux-dev', size: '256x256', count: 3 },
    { model: 'flux-2-klein', size: '64x64', count: 2 },
    { model: 'flux-2-pro', size: '64x64', count: 1 },
    { model: 'flux-pro', size: '256x256', count: 1 },
    { model: 'flux-2-klein', size: '64x64', count: 1, prompt: 'x [sandbox: fail=api_error]' },
  ];
  const tasks = await Promise.all(wishes.map((wish) => app.generate({ prompt: 'usage', ...wish })));
  ids = tasks.map(({ id }) => id);
  // Asking for one at a time keeps the day the same for all of them.
  today = tasks[0]?.createdAt.slice(0, 10) ?? '';
  await Promise.all(ids.map((id) => app.settled(id)));
  await app.rows('UPDATE tasks SET end_user_id = $2 WHERE id = $1', [ids[0], FORMULA]);
  await app.rows('UPDATE tasks SET end_user_id = \'+1, "x"\' WHERE id = $1', [ids[1]]);
}, 60_000);
afterAll(() => app.stop());

async function usage(
  groupBy: UsageQueryVariables['groupBy'],
  more: Partial<UsageQueryVariables> = {},
  key = app.key,
) {
  return (await app.query(UsageDocument, { ...range, groupBy, ...more }, key)).usage;
}
async function csv(query: Record<string, string>, key = app.key) {
  const path = `/usage.csv?${new URLSearchParams(query).toString()}`;
  return app.get(path, { authorization: `Bearer ${key}` });
}

describe('the cost of a task', () => {
  test('is estimated at its request, and final at its end', async () => {
    const task = await app.generate({ prompt: 'cost', model: 'flux-dev', size: '256x256', count: 2 });
    expect(task.cost).toEqual({ estimated: '0.2', final: null, currency: 'USD' });
    expect((await app.settled(task.id)).cost).toEqual({ estimated: '0.2', final: '0.2', currency: 'USD' });
  });

  test('is what was delivered, where that is less than was asked for', async () => {
    const prompt = 'fewer [sandbox: images=1]';
    const task = await app.generate({ prompt, model: 'flux-dev', size: '256x256', count: 3 });
    const { cost, deliveredCount } = await app.settled(task.id);
    expect({ cost, deliveredCount }).toEqual({
      ...{ cost: { estimated: '0.3', final: '0.1', currency: 'USD' }, deliveredCount: 1 },
    });
  });

  test('is nothing where the task failed, and unknown where there is no price', async () => {
    expect((await app.task(ids[4] ?? '')).cost).toEqual({ estimated: '0.001', final: '0', currency: 'USD' });
    expect((await app.task(ids[3] ?? '')).cost).toEqual({ estimated: null, final: null, currency: null });
  });
});

describe('usage', () => {
  test('by model has what was delivered and what it cost, and keeps what has no price apart', async () => {
    const { nodes } = await usage('MODEL', { to: await afterTheFirst() });
    expect(nodes).toEqual([
      group('flux-2-klein', { tasks: 2, images: 2, currency: 'USD', cost: '0.002' }),
      group('flux-2-pro', { tasks: 1, images: 1, currency: 'EUR', cost: '0.5' }),
      group('flux-dev', { tasks: 1, images: 3, currency: 'USD', cost: '0.3' }),
      group('flux-pro', { tasks: 1, images: 1, currency: null, cost: null, reserved: null, held: null }),
    ]);
  });

  test('by day, by key and by end user adds up the same tasks', async () => {
    const to = await afterTheFirst();
    const days = (await usage('DAY', { to })).nodes;
    expect(days).toEqual([
      group(today, { tasks: 1, images: 1, currency: null, cost: null, reserved: null, held: null }),
      group(today, { tasks: 1, images: 1, currency: 'EUR', cost: '0.5' }),
      group(today, { tasks: 3, images: 5, currency: 'USD', cost: '0.302' }),
    ]);
    const [key] = await app.rows<{ id: string; name: string }>('SELECT id, name FROM api_keys');
    const keys = (await usage('KEY', { to })).nodes;
    expect(keys).toEqual(days.map((day) => ({ ...day, key: key?.id, name: key?.name })));
    const users = (await usage('END_USER', { to })).nodes;
    expect(users.map((user) => [user.key, user.currency, user.cost])).toEqual([
      [null, null, null],
      [null, 'EUR', '0.5'],
      [null, 'USD', '0'],
      ['+1, "x"', 'USD', '0.002'],
      [FORMULA, 'USD', '0.3'],
    ]);
  });

  test('has pages, also through the groups without a key', async () => {
    const to = await afterTheFirst();
    const whole = (await usage('END_USER', { to })).nodes;
    const seen: typeof whole = [];
    for (let after: string | null | undefined = null; after !== undefined;) {
      const page: Awaited<ReturnType<typeof usage>> = await usage('END_USER', { to, first: 1, after });
      seen.push(...page.nodes);
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : undefined;
    }
    expect(seen).toEqual(whole);
  });

  test('has nothing of another workspace, and nothing of another time', async () => {
    const stranger = await addWorkspace(app);
    expect((await usage('MODEL', {}, stranger)).nodes).toEqual([]);
    expect(
      (await usage('MODEL', { from: '2001-01-01T00:00:00Z', to: '2001-02-01T00:00:00Z' })).nodes,
    ).toEqual([]);
  });

  test.each([
    { to: '2001-01-01T00:00:00Z' },
    { from: '2001-01-01T00:00:00Z' },
    { from: '0000-01-01T00:00:00Z' },
    { first: 0 },
    { first: 101 },
    { after: 'x' },
    { after: Buffer.from('["a\\u0000", null]').toString('base64url') },
  ])('answers BAD_REQUEST to %j', async (variables) => {
    const { errors } = await app.post(UsageDocument, { ...range, groupBy: 'MODEL', ...variables });
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_REQUEST' } }]);
  });

  test('needs audit:read, as a query and as a table', async () => {
    const [row] = await app.rows<{ id: string }>('SELECT id FROM workspaces');
    const key = await addKey(app, row?.id ?? '', ['tasks:read', 'tasks:write', 'keys:admin']);
    const { errors } = await app.post(UsageDocument, { ...range, groupBy: 'MODEL' }, key);
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    expect((await csv({ ...range, groupBy: 'MODEL' }, key)).status).toBe(403);
    expect((await app.get('/usage.csv')).status).toBe(401);
  });
});

describe('/usage.csv', () => {
  test('has what the query has, as a table that no spreadsheet runs', async () => {
    const answer = await csv({ ...range, to: await afterTheFirst(), groupBy: 'END_USER' });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'text/csv; charset=utf-8',
      'cache-control': 'no-store',
    });
    expect(answer.headers['content-disposition']).toMatch(
      /^attachment; filename="usage-end_user-[\d-]+\.csv"$/,
    );
    expect(answer.bytes.toString().split('\r\n')).toEqual([
      'key,name,tasks,images,currency,cost,reserved,held',
      ',,1,1,,,,',
      ',,1,1,EUR,0.5,0,0',
      ',,1,0,USD,0,0,0',
      `"'+1, ""x""",,1,2,USD,0.002,0,0`,
      `"'=HYPERLINK(""http://x.example"",""click"")",,1,3,USD,0.3,0,0`,
      '',
    ]);
  });

  test('takes days', async () => {
    const { status, bytes } = await csv({ from: '2001-01-01', to: '2001-02-01', groupBy: 'DAY' });
    expect([status, bytes.toString()]).toEqual([
      200,
      'key,name,tasks,images,currency,cost,reserved,held\r\n',
    ]);
  });

  test.each<[string, string]>([
    ['groupBy', 'day'],
    ['groupBy', 'WEEK'],
    ['groupBy', ''],
    ['from', 'yesterday'],
    ['from', '2026-07-01T12:00'],
    ['to', '1'],
    ['to', '2001-01-01'],
  ])('answers 400 when %s is "%s"', async (name, value) => {
    const { status, json } = await csv({ ...range, groupBy: 'DAY', [name]: value });
    expect([status, json]).toMatchObject([400, { error: { code: 'BAD_REQUEST' } }]);
  });
});

/** The end of a time that has the tasks that were asked for first, and none of those of single tests. */
async function afterTheFirst(): Promise<string> {
  const [row] = await app.rows<{ at: Date }>('SELECT max(created_at) AS at FROM tasks WHERE id = ANY($1)', [
    ids,
  ]);
  return new Date((row?.at.getTime() ?? 0) + 1).toISOString();
}

function group(key: string, facts: object) {
  return { key, name: null, reserved: '0', held: '0', ...facts };
}
