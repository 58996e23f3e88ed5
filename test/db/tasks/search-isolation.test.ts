import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import { newId } from '../../../src/core/primitives/ids.js';
import { workspaceVisibility } from '../../../src/core/access/visibility.js';
import { type Database } from '../../../src/db/postgres/database.js';
import { type Statement } from '../../../src/db/postgres/statement.js';
import { findPageOfTaskIds } from '../../../src/db/tasks/task-pages.js';
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

interface Plan {
  'Node Type': string;
  'Index Name'?: string;
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
  await sql.query('ALTER TABLE tasks SET (autovacuum_enabled = off)');
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'ours'), ($2, 'theirs')", [ours, theirs]);
  await addTasks(ours, OUR_TASKS, "'a red fox ' || n || CASE WHEN n % 500 = 0 THEN ' rare' ELSE '' END");
  const words = THEIR_WORDS.map(
    ([word, every]) => `CASE WHEN n % ${every} = 0 THEN ' red ${word}' ELSE '' END`,
  );
  await addTasks(theirs, THEIR_TASKS, `'a blue fox ' || n || ${words.join(' || ')}`);
  await sql.query('VACUUM tasks');
}, 120_000);
afterAll(async () => {
  await sql.end();
  await database.drop();
});

async function addTasks(workspaceId: string, count: number, promptSql: string): Promise<void> {
  await sql.query(
    `INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, input_hash, deadline_at)
     SELECT gen_random_uuid(), $1, 'GENERATE', 'SUCCEEDED', ${promptSql}, 'flux-dev', 1, '', now()
     FROM generate_series(1, $2::int) n`,
    [workspaceId, count],
  );
}

/** The statement that the service runs for a search in our workspace. */
async function statementOf(search: string): Promise<Statement<object, object>> {
  let found: Statement<object, object> | null = null;
  const db = { query: (statement: Statement<object, object>) => Promise.resolve(((found = statement), [])) };
  const visibility = workspaceVisibility(ours);
  await findPageOfTaskIds(db as unknown as Database, {
    visibility,
    filter: { search },
    before: null,
    limit: 21,
  });
  return found as unknown as Statement<object, object>;
}

const PARAMETERS: Record<string, { type: string; value: (search: string) => string }> = {
  workspaceId: { type: 'uuid', value: () => `'${ours}'` },
  search: { type: 'text', value: (search) => pg.escapeLiteral(search) },
  limit: { type: 'int', value: () => '21' },
};

async function planOf(search: string, planCacheMode: string): Promise<Plan> {
  const { text, parameterNames } = await statementOf(search);
  const types = parameterNames.map((name) => PARAMETERS[name]?.type).join();
  const values = parameterNames.map((name) => PARAMETERS[name]?.value(search)).join();
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
    if (when === 'after') await sql.query('ANALYZE tasks');
  }, 60_000);

  test.each(['force_custom_plan', 'force_generic_plan'])(
    'searching for a word that only another workspace uses is the same work as for a word that nobody uses (%s)',
    async (planCacheMode) => {
      for (const form of FORMS) {
        const nobodys = await planOf(form('qwertyuiop'), planCacheMode);
        for (const [word] of THEIR_WORDS) {
          const plan = await planOf(form(word), planCacheMode);
          expect({ search: form(word), work: workOf(plan) }).toEqual({
            search: form(word),
            work: workOf(nobodys),
          });
          expect(Math.abs(pagesOf(plan) - pagesOf(nobodys))).toBeLessThanOrEqual(MAX_PAGE_DIFFERENCE);
        }
      }
    },
    60_000,
  );

  test('a search for a rare word of ours reads the index and a few rows', async () => {
    const plan = await planOf('rare', 'auto');
    expect(JSON.stringify(plan)).toContain('tasks_prompt_search_idx');
    expect(plan['Actual Rows']).toBe(OUR_TASKS / 500);
    expect(pagesOf(plan)).toBeLessThan(50);
  });
});

describe('prompt_words and prompt_query', () => {
  const matches = async (prompt: string, search: string, workspaces = [ours, ours]): Promise<boolean> => {
    const { rows } = await sql.query<{ matches: boolean; plain: boolean }>(
      `SELECT prompt_words($1, $3) @@ prompt_query($2, $4) AS matches,
       to_tsvector('simple', $3) @@ websearch_to_tsquery('simple', $4) AS plain`,
      [...workspaces, prompt, search],
    );
    if (workspaces[0] === workspaces[1]) expect(rows[0]?.matches).toBe(rows[0]?.plain);
    return rows[0]?.matches ?? false;
  };

  test.each([
    ['a red fox', 'fox', true],
    ['a red fox', '"red fox"', true],
    ['a fox that is red', '"red fox"', false],
    ['a red fox', 'wolf or fox', true],
    ['a red fox', 'red -fox', false],
    ['a red fox', '-wolf', true],
    ["it's a well-known 'quoted' one", 'well-known', true],
    ["it's a well-known 'quoted' one", "it's", true],
    ['C:\\pictures\\fox.png', 'C:\\pictures\\fox.png', true],
    ['see https://example.com/a?b=c and mail me@example.com', 'example.com', true],
    ['一只红色的狐狸,在雪地里', '一只红色的狐狸', true],
    ['🦊 emoji', '🦊', true],
    ["'", "'", false],
    ['!', '!', false],
    ['', 'fox', false],
  ])('in the prompt %j, %j is found like in the plain text: %j', async (prompt, search, expected) => {
    await expect(matches(prompt, search)).resolves.toBe(expected);
    await expect(matches(prompt, search.replace(/^-.*/, 'fox'), [ours, theirs])).resolves.toBe(false);
  });

  test(`finds the same prompts as the plain text, whatever they contain (SEARCH_SEED=${SEED})`, async () => {
    const texts = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.string({ unit: 'grapheme', maxLength: 60 }),
      fc
        .array(fc.constantFrom(...'ab\'"\\:/.,-_@&|!()<>*=?#%\t\n 1é狐🦊\u00a0\u2028'.split('')), {
          maxLength: 40,
        })
        .map((characters) => characters.join('')),
      fc.webUrl({ withQueryParameters: true, withFragments: true }),
      fc.emailAddress(),
    );
    const withoutNul = texts.map((text) => Buffer.from(text.replaceAll('\0', '')).toString());
    await fc.assert(
      fc.asyncProperty(withoutNul, withoutNul, async (prompt, search) => {
        await matches(prompt, search);
        await matches(`${prompt} ${search}`, search);
        await expect(matches(prompt, 'fox', [ours, theirs])).resolves.toBe(false);
      }),
      { seed: SEED, numRuns: 400 },
    );
  }, 60_000);

  test('a word with more bytes than a text vector can hold, with its prefix, is left out', async () => {
    for (const length of [1_999, 2_000, 2_001, 2_046, 2_047, 3_999]) {
      const { rows } = await sql.query<{ words: string }>('SELECT prompt_words($1, $2)::text AS words', [
        ours,
        `${'x'.repeat(length)} fox`,
      ]);
      expect(rows[0]?.words).toContain("fox'");
      expect(rows[0]?.words.includes('xxx')).toBe(length <= 2_000);
    }
  });
});
