import { expect, test } from '@jest/globals';
import { MAX_BACKGROUND_CONNECTIONS, MAX_DATABASE_CONNECTIONS } from '../../src/app/adapters.js';
import { OUTAGES } from '../../src/db/postgres/database-errors.js';
import { filesBelow, readText } from '../support/docs/markdown.js';

const page = readText('docs/OPERATIONS.md');

test('every log message that OPERATIONS.md quotes exists in the code', () => {
  const sources = filesBelow('src', '.ts').map(readText).join('\n');
  // The other phrases in backticks are commands, SQL and messages with a value in them.
  const quotes = [...page.matchAll(/`([a-z][\w-]*(?:\s[\w-]+){2,})`/g)].map(([, text = '']) =>
    text.replace(/\s/g, ' '),
  );
  const messages = quotes.filter((text) => !/^(npm|node|pg_dump|systemctl|docker) /.test(text));
  expect(new Set(messages).size).toBeGreaterThanOrEqual(6);
  expect(messages.filter((message) => !sources.includes(message))).toEqual([]);
});

test('every npm script that the documentation mentions exists', () => {
  const { scripts } = JSON.parse(readText('package.json')) as { scripts: Record<string, string> };
  const pages = ['README.md', 'CONTRIBUTING.md', ...filesBelow('docs', '.md')];
  const mentioned = pages.flatMap((path) =>
    [...readText(path).matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name),
  );
  expect(mentioned.filter((name) => !Object.hasOwn(scripts, name ?? ''))).toEqual([]);
});

test('the table of outages in OPERATIONS.md is that of the code', () => {
  const rows = [...page.matchAll(/^\| (`[^|]+) +\| ([^|]+) \| (replaced|kept) +\|$/gm)].map(
    ([, errors = '', meaning = '', connection]) => ({
      errors: [...errors.matchAll(/`([^`]+)`/g)].map(([, error]) => error),
      meaning: meaning.trim(),
      replaceConnection: connection === 'replaced',
    }),
  );
  expect(rows).toEqual(
    OUTAGES.map(({ codes = [], severities = [], field = [], messages = [], meaning, replaceConnection }) => ({
      errors: [codes, severities, field, messages].flat(),
      meaning,
      replaceConnection,
    })),
  );
});

test('OPERATIONS.md says for every table what removes its rows', () => {
  const models = readText('prisma/schema.prisma').match(/^model [\s\S]+?^\}/gm) ?? [];
  const tables = models.map((model) => /@@map\("(\w+)"\)/.exec(model)?.[1]);
  expect(tables.length).toBeGreaterThan(20);
  const start = page.indexOf('This is what removes the rows of each table.');
  const section = page.slice(start, page.indexOf('\n## ', start));
  const listed = [...section.matchAll(/^\| `(\w+)` +\|[^|]+\| *\w[^|]+\|$/gm)].map(([, name = '']) => name);
  expect(listed.sort()).toEqual(tables.sort());
});

test('OPERATIONS.md and CONFIGURATION.md say how many connections an instance uses', () => {
  const all = MAX_DATABASE_CONNECTIONS + MAX_BACKGROUND_CONNECTIONS + 1;
  expect(page).toContain(
    `An instance uses up to ${all} connections: ${MAX_DATABASE_CONNECTIONS} for requests and tasks, ${MAX_BACKGROUND_CONNECTIONS} for background work`,
  );
  expect(readText('docs/CONFIGURATION.md')).toContain(`each instance uses up to ${all} connections`);
});
