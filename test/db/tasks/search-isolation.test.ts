import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import { newId } from '../../../src/core/primitives/ids.js';
import { workspaceVisibility } from '../../../src/core/access/visibility.js';
import { type Database } from '../../../src/db/postgres/database.js';
import { type Statement } from '../../../src/db/postgres/statement.js';
import { promptQuery, promptVector } from '../../../src/db/tasks/prompt-search.js';
import { findPageOfTaskIds, type TaskFilter } from '../../../src/db/tasks/task-pages.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const SEED = Number(process.env['SEARCH_SEED'] ?? Date.now() % 1_000_000);
const OUR_TASKS = 2_000;
const THEIR_TASKS = 20_000;
/** Words of another workspace only, and how many of its prompts contain each: every n-th. */
const THEIR_WORDS: [word: string, every: number][] = [
  ['zebra', 1],
  ['yacht', 2],
  ['xylophone', 10],
  ['walrus', 100],
  ['violin', 1_000],
  ['unicorn', 10_000],
];
/** Searches that contain the word. */
const FORMS: ((word: string) => string)[] = [
  (word) => word,
  (word) => `fox ${word}`,
  (word) => `"red ${word}"`,
  (word) => `${word} or nothing`,
  (word) => `fox -${word}`,
  (word) => `-${word}`,
];
/** Filters that need the tasks themselves, and none. */
const OTHER_FILTERS: TaskFilter[] = [{}, { statuses: ['SUCCEEDED', 'FAILED'] }, { kinds: ['GENERATE'] }];

interface Plan {
  'Node Type': string;
  'Index Name'?: string;
  'Relation Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  'Exact Heap Blocks'?: number;
  'Lossy Heap Blocks'?: number;
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
  Plans?: Plan[];
}

let database: TestDatabase;
let sql: pg.Client;
const [ours, theirs] = [newId(), newId()];
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  // Otherwise statistics could be collected in the middle of a test.
  for (const table of ['tasks', 'searchable_prompts'])
    await sql.query(`ALTER TABLE ${table} SET (autovacuum_enabled = off)`);
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'ours'), ($2, 'theirs')", [ours, theirs]);
  await addTasks(ours, OUR_TASKS, (n) => `a red fox ${n}${n % 500 === 0 ? ' rare' : ''}`);
  await addTasks(theirs, THEIR_TASKS, (n) => {
    const words = THEIR_WORDS.filter(([, every]) => n % every === 0).map(([word]) => ` red ${word}`);
    return `a blue fox ${n}${words.join('')}`;
  });
  await sql.query('VACUUM tasks, searchable_prompts');
}, 120_000);
afterAll(async () => {
  await sql.end();
  await database.drop();
});

async function addTasks(workspaceId: string, count: number, promptOf: (n: number) => string): Promise<void> {
  const prompts = Array.from({ length: count }, (_, index) => promptOf(index + 1));
  const vectors = prompts.map((prompt) => promptVector(workspaceId, prompt));
  await sql.query(
    `WITH task AS (
       INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, input_hash, deadline_at)
       SELECT id, $1, 'GENERATE', 'SUCCEEDED', prompt, 'flux-dev', 1, '', now()
       FROM unnest($2::uuid[], $3::text[]) row (id, prompt))
     INSERT INTO searchable_prompts SELECT $1, id, terms FROM unnest($2::uuid[], $4::tsvector[]) row (id, terms)`,
    [workspaceId, prompts.map(() => randomUUID()), prompts, vectors],
  );
}

/** The statement that the service runs for a search in our workspace, with its parameters. */
async function statementOf(filter: TaskFilter) {
  let call: { statement: Statement<object, object>; parameters: Record<string, unknown> } | null = null;
  const db = {
    query: (statement: Statement<object, object>, parameters: Record<string, unknown>) =>
      Promise.resolve(((call = { statement, parameters }), [])),
    runSlowRead: (_workspaceId: string, read: () => Promise<unknown>) => read(),
  };
  const request = { visibility: workspaceVisibility(ours), filter, before: null, limit: 21 };
  await findPageOfTaskIds(db as unknown as Database, request);
  return call as unknown as { statement: Statement<object, object>; parameters: Record<string, unknown> };
}

const TYPES: Record<string, string> = {
  workspaceId: 'uuid',
  search: 'tsquery',
  limit: 'int',
  statuses: 'task_status[]',
  kinds: 'task_kind[]',
  models: 'text[]',
};
const literalOf = (value: unknown) =>
  pg.escapeLiteral(Array.isArray(value) ? `{${value.join()}}` : String(value));

async function planOf(filter: TaskFilter, planCacheMode: string): Promise<Plan> {
  const { statement, parameters } = await statementOf(filter);
  const { text, parameterNames } = statement;
  const types = parameterNames.map((name) => TYPES[name]).join();
  const values = parameterNames.map((name) => literalOf(parameters[name])).join();
  await sql.query('DEALLOCATE ALL');
  await sql.query(`SET plan_cache_mode = ${planCacheMode}`);
  await sql.query(`PREPARE search (${types}) AS ${text}`);
  const explain = `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE search (${values})`;
  // The first run also reads the catalog.
  await sql.query(explain);
  const { rows } = await sql.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(explain);
  const plan = rows[0]?.['QUERY PLAN'][0].Plan;
  if (!plan) throw new Error('There is no plan.');
  return plan;
}

/** What a plan did: its nodes and the rows that each saw. Everything that takes time except for the pages of the index. */
function workOf(plan: Plan): unknown[] {
  return [
    plan['Node Type'],
    plan['Index Name'],
    plan['Actual Rows'] * plan['Actual Loops'],
    plan['Rows Removed by Filter'],
    plan['Rows Removed by Index Recheck'],
    plan['Exact Heap Blocks'],
    plan['Lossy Heap Blocks'],
    ...(plan.Plans ?? []).map(workOf),
  ];
}

const pagesOf = (plan: Plan) => plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];

/** Finding another key can take a few pages more or less, because the keys are in a tree. */
const MAX_PAGE_DIFFERENCE = 6;

describe.each(['before', 'after'])('%s statistics are collected', (when) => {
  beforeAll(async () => {
    if (when === 'after') await sql.query('ANALYZE tasks, searchable_prompts');
  }, 60_000);

  const planCacheModes = ['force_custom_plan', 'force_generic_plan'];
  test.each(planCacheModes.flatMap((mode) => OTHER_FILTERS.map((filter) => [mode, filter] as const)))(
    'searching for a word that only another workspace uses is the same work as for a word that nobody uses (%s, %j)',
    async (planCacheMode, filter) => {
      for (const form of FORMS) {
        const nobodys = await planOf({ ...filter, search: form('qwertyuiop') }, planCacheMode);
        for (const [word] of THEIR_WORDS) {
          const plan = await planOf({ ...filter, search: form(word) }, planCacheMode);
          expect({ search: form(word), work: workOf(plan) }).toEqual({
            search: form(word),
            work: workOf(nobodys),
          });
          expect(Math.abs(pagesOf(plan) - pagesOf(nobodys))).toBeLessThanOrEqual(MAX_PAGE_DIFFERENCE);
        }
      }
    },
    120_000,
  );

  test.each([...OTHER_FILTERS, { search: 'rar' }, { search: '"rare"' }])(
    'a search for a rare word of ours reads the index and a few rows (%j)',
    async (filter) => {
      const plan = await planOf({ search: 'rare', ...filter }, 'auto');
      expect(JSON.stringify(plan)).toContain('searchable_prompts_terms_idx');
      expect(plan['Actual Rows']).toBe(OUR_TASKS / 500);
      expect(pagesOf(plan)).toBeLessThan(80);
    },
  );
});

/** How many rows of tasks a plan read. */
const tasksRead = (plan: Plan): number => {
  const rows = plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0);
  const ownRows = plan['Relation Name'] === 'tasks' ? rows * plan['Actual Loops'] : 0;
  return (plan.Plans ?? []).reduce((sum, part) => sum + tasksRead(part), ownRows);
};

test.each<TaskFilter>([{ statuses: ['SUCCEEDED'] }, { kinds: ['GENERATE'] }, { models: ['flux-dev'] }])(
  'a search for a word in all of our prompts reads the tasks of one page (%j)',
  async (filter) => {
    const plan = await planOf({ ...filter, search: 'fox' }, 'auto');
    expect(plan['Actual Rows']).toBe(21);
    expect(tasksRead(plan)).toBe(21);
  },
);

describe('promptVector and promptQuery', () => {
  const matches = async (prompt: string, search: string, [one, other] = [ours, ours]): Promise<boolean> => {
    const query = promptQuery(other ?? '', search);
    if (query === null) return false;
    const { rows } = await sql.query<{ matches: boolean }>('SELECT $1::tsvector @@ $2::tsquery AS matches', [
      promptVector(one ?? '', prompt),
      query.text,
    ]);
    return rows[0]?.matches ?? false;
  };

  test(`are valid for any text, find a prompt by its parts, and nothing of another workspace (SEARCH_SEED=${SEED})`, async () => {
    const texts = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.string({ unit: 'grapheme', maxLength: 60 }),
      fc
        .array(
          fc.constantFrom(...'ab\'"\\:/.,-_@&|!()<>*=?#%\t\n 1é狐カ\u3099\u0e01\u0e33🦊\u00a0\u2028\u200d'),
          {
            maxLength: 40,
          },
        )
        .map((characters) => characters.join('')),
      fc.webUrl({ withQueryParameters: true, withFragments: true }),
      fc.emailAddress(),
    );
    const withoutNul = texts.map((text) => Buffer.from(text.replaceAll('\0', '')).toString());
    await fc.assert(
      fc.asyncProperty(withoutNul, withoutNul, async (prompt, search) => {
        await matches(prompt, search);
        const query = promptQuery(ours, search);
        if (query?.text.includes('!')) return;
        await expect(matches(`${prompt} ${search}`, search)).resolves.toBe(query !== null);
        await expect(matches(`${prompt} ${search}`, search, [theirs, ours])).resolves.toBe(false);
      }),
      { seed: SEED, numRuns: 300 },
    );
  }, 300_000);

  test('a repeated condition is looked up once', () => {
    for (const search of ['fox '.repeat(100), Array.from({ length: 100 }, () => 'fox').join(' or ')])
      expect(promptQuery(ours, search)).toEqual(promptQuery(ours, 'Fox'));
    expect(promptQuery(ours, 'fox "fox" -fox')?.text.match(/fox/g)).toHaveLength(3);
  });

  test('a workspace has a prefix of its own', () => {
    const prefixes = Array.from({ length: 1_000 }, () => promptVector(newId(), 'x').slice(1, 12));
    expect(new Set(prefixes).size).toBe(1_000);
    expect(promptVector(ours, 'x').startsWith(promptVector(theirs, 'x').slice(0, 12))).toBe(false);
  });

  test('the longest prompt in any script fits', async () => {
    for (const character of ['x', '山', 'ж', '🦊', '\ufdfa', '\u{1d400}', 'ก']) {
      const random = Array.from({ length: 4_000 }, (_, n) => character + String.fromCodePoint(0x4e00 + n));
      for (const prompt of [character.repeat(4_000), random.join('').slice(0, 4_000)])
        await expect(matches(prompt, character)).resolves.toBe(true);
    }
  });
});
