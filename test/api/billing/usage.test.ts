import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { UsageDocument, type UsageQueryVariables } from '../../../clients/operations.js';
import { TestApp } from '../../support/app/test-app.js';
import { addKey, addWorkspaceWithKey } from '../../support/access/workspaces.js';

const FORMULA = '=HYPERLINK("http://x.example","click")';

let app: TestApp;
/** One hour before to one hour after the tasks of this file. */
let range: { from: string; to: string };
let today: string;
let ids: string[];
beforeAll(async () => {
  app = await TestApp.start({ environment: { PRICES_FILE: 'test/support/billing/prices.json' } });
  const hour = 3_600_000;
  range = { from: new Date(Date.now() - hour).toISOString(), to: new Date(Date.now() + hour).toISOString() };
  const requests = [
    { model: 'flux-dev', size: '256x256', count: 3 },
    { model: 'flux-2-klein', size: '64x64', count: 2 },
    { model: 'flux-2-pro', size: '64x64', count: 1 },
    { model: 'flux-pro', size: '256x256', count: 1 },
    { model: 'flux-2-klein', size: '64x64', count: 1, prompt: 'x [sandbox: fail=api_error]' },
  ];
  const tasks = await Promise.all(requests.map((request) => app.generate({ prompt: 'usage', ...request })));
  ids = tasks.map(({ id }) => id);
  today = tasks[0]?.createdAt.slice(0, 10) ?? '';
  await Promise.all(ids.map((id) => app.waitUntilSettled(id)));
  await app.rows('UPDATE tasks SET end_user_id = $2 WHERE id = $1', [ids[0], FORMULA]);
  await app.rows('UPDATE tasks SET end_user_id = \'+1, "x"\' WHERE id = $1', [ids[1]]);
}, 60_000);
afterAll(() => app.stop());

async function usage(
  groupBy: UsageQueryVariables['groupBy'],
  overrides: Partial<UsageQueryVariables> = {},
  key = app.apiKey,
) {
  return (await app.query(UsageDocument, { ...range, groupBy, ...overrides }, key)).usage;
}
async function csv(query: Record<string, string>, key = app.apiKey) {
  const path = `/usage.csv?${new URLSearchParams(query).toString()}`;
  return app.get(path, { authorization: `Bearer ${key}` });
}

describe('task costs', () => {
  test('a task has an estimated cost when it is requested and a final cost when it is settled', async () => {
    const task = await app.generate({ prompt: 'cost', model: 'flux-dev', size: '256x256', count: 2 });
    expect(task.cost).toEqual({ estimated: '0.2', final: null, currency: 'USD' });
    expect((await app.waitUntilSettled(task.id)).cost).toEqual({
      estimated: '0.2',
      final: '0.2',
      currency: 'USD',
    });
  });

  test('the final cost counts the delivered images if they are fewer than requested', async () => {
    const prompt = 'fewer [sandbox: images=1]';
    const task = await app.generate({ prompt, model: 'flux-dev', size: '256x256', count: 3 });
    const { cost, deliveredCount } = await app.waitUntilSettled(task.id);
    expect({ cost, deliveredCount }).toEqual({
      ...{ cost: { estimated: '0.3', final: '0.1', currency: 'USD' }, deliveredCount: 1 },
    });
  });

  test('the final cost is 0 for a failed task and null for a model without a price', async () => {
    expect((await app.task(ids[4] ?? '')).cost).toEqual({ estimated: '0.001', final: '0', currency: 'USD' });
    expect((await app.task(ids[3] ?? '')).cost).toEqual({ estimated: null, final: null, currency: null });
  });
});

describe('usage', () => {
  test('grouping by model gives image counts and costs, and null costs for models without a price', async () => {
    const { nodes } = await usage('MODEL', { to: await endOfSetup() });
    expect(nodes).toEqual([
      group('flux-2-klein', { taskCount: 2, imageCount: 2, currency: 'USD', cost: '0.002' }),
      group('flux-2-pro', { taskCount: 1, imageCount: 1, currency: 'EUR', cost: '0.5' }),
      group('flux-dev', { taskCount: 1, imageCount: 3, currency: 'USD', cost: '0.3' }),
      group('flux-pro', {
        taskCount: 1,
        imageCount: 1,
        currency: null,
        cost: null,
        reserved: null,
        uncertain: null,
      }),
    ]);
  });

  test('grouping by day, by API key and by end user covers the same tasks', async () => {
    const to = await endOfSetup();
    const days = (await usage('DAY', { to })).nodes;
    expect(days).toEqual([
      group(today, {
        taskCount: 1,
        imageCount: 1,
        currency: null,
        cost: null,
        reserved: null,
        uncertain: null,
      }),
      group(today, { taskCount: 1, imageCount: 1, currency: 'EUR', cost: '0.5' }),
      group(today, { taskCount: 3, imageCount: 5, currency: 'USD', cost: '0.302' }),
    ]);
    const [key] = await app.rows<{ id: string; name: string }>('SELECT id, name FROM api_keys');
    const keys = (await usage('API_KEY', { to })).nodes;
    expect(keys).toEqual(days.map((day) => ({ ...day, groupKey: key?.id, keyName: key?.name })));
    const users = (await usage('END_USER', { to })).nodes;
    expect(users.map((user) => [user.groupKey, user.currency, user.cost])).toEqual([
      [null, null, null],
      [null, 'EUR', '0.5'],
      [null, 'USD', '0'],
      ['+1, "x"', 'USD', '0.002'],
      [FORMULA, 'USD', '0.3'],
    ]);
  });

  test('pages of one group cover every group, including those without a group key', async () => {
    const to = await endOfSetup();
    const whole = (await usage('END_USER', { to })).nodes;
    const seen: typeof whole = [];
    for (let after: string | null | undefined = null; after !== undefined;) {
      const page: Awaited<ReturnType<typeof usage>> = await usage('END_USER', { to, first: 1, after });
      seen.push(...page.nodes);
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : undefined;
    }
    expect(seen).toEqual(whole);
  });

  test('usage excludes other workspaces and tasks outside the time range', async () => {
    const foreignKey = await addWorkspaceWithKey(app);
    expect((await usage('MODEL', {}, foreignKey)).nodes).toEqual([]);
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
  ])('the arguments %j are a BAD_REQUEST', async (variables) => {
    const { errors } = await app.execute(UsageDocument, { ...range, groupBy: 'MODEL', ...variables });
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_REQUEST' } }]);
  });

  test('the query and the CSV export require audit:read', async () => {
    const [row] = await app.rows<{ id: string }>('SELECT id FROM workspaces');
    const key = await addKey(app, row?.id ?? '', ['tasks:read', 'tasks:write', 'keys:admin']);
    const { errors } = await app.execute(UsageDocument, { ...range, groupBy: 'MODEL' }, key);
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    expect((await csv({ ...range, groupBy: 'MODEL' }, key)).status).toBe(403);
    expect((await app.get('/usage.csv')).status).toBe(401);
  });
});

describe('/usage.csv', () => {
  test('the CSV file contains the groups of the query, with cells escaped against spreadsheet formulas', async () => {
    const response = await csv({ ...range, to: await endOfSetup(), groupBy: 'END_USER' });
    expect(response.status).toBe(200);
    expect(response.headers).toMatchObject({
      'content-type': 'text/csv; charset=utf-8',
      'cache-control': 'no-store',
    });
    expect(response.headers['content-disposition']).toMatch(
      /^attachment; filename="usage-end_user-[\d-]+\.csv"$/,
    );
    expect(response.bytes.toString().split('\r\n')).toEqual([
      'groupKey,keyName,taskCount,imageCount,currency,cost,reserved,uncertain',
      ',,1,1,,,,',
      ',,1,1,EUR,0.5,0,0',
      ',,1,0,USD,0,0,0',
      `"'+1, ""x""",,1,2,USD,0.002,0,0`,
      `"'=HYPERLINK(""http://x.example"",""click"")",,1,3,USD,0.3,0,0`,
      '',
    ]);
  });

  test('from and to accept dates without a time', async () => {
    const { status, bytes } = await csv({ from: '2001-01-01', to: '2001-02-01', groupBy: 'DAY' });
    expect([status, bytes.toString()]).toEqual([
      200,
      'groupKey,keyName,taskCount,imageCount,currency,cost,reserved,uncertain\r\n',
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
  ])('the parameter %s with the value "%s" is refused with 400', async (name, value) => {
    const { status, json } = await csv({ ...range, groupBy: 'DAY', [name]: value });
    expect([status, json]).toMatchObject([400, { error: { code: 'BAD_REQUEST' } }]);
  });
});

/** A `to` that includes the tasks of `beforeAll` and excludes tasks that single tests create. */
async function endOfSetup(): Promise<string> {
  const [row] = await app.rows<{ at: Date }>('SELECT max(created_at) AS at FROM tasks WHERE id = ANY($1)', [
    ids,
  ]);
  return new Date((row?.at.getTime() ?? 0) + 1).toISOString();
}

function group(groupKey: string, fields: object) {
  return { groupKey, keyName: null, reserved: '0', uncertain: '0', ...fields };
}
