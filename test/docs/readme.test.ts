import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { buildSchema, parse, validate } from 'graphql';
import { readConfig } from '../../src/config/config.js';
import { SECRETS } from '../../src/config/secret-files.js';
import { VARIABLES } from '../../src/config/variables.js';
import { EVENT_TYPES } from '../../src/core/events/task-event.js';
import { TASK_STATUSES, TRANSITIONS } from '../../src/core/tasks/task.js';
import { TestApp } from '../support/app/test-app.js';

const DOCUMENTED_URL = '127.0.0.1:4000';
const PAGES = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...markdownBelow('docs')];

const readme = read('README.md');
const [watchExample = ''] = codeBlocks(readme, 'js');
const [documentedAnswer, documentedPage] = codeBlocks(readme, 'json').map(
  (text) => JSON.parse(text) as unknown,
);

describe('the examples of README.md', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await TestApp.start();
  });
  afterAll(() => app.stop());

  it('fit the schema', () => {
    const schema = buildSchema(read('schema.graphql'));
    const documents = [
      (JSON.parse(curlBody()) as { query: string }).query,
      ...codeBlocks(readme, 'graphql'),
      ...[...watchExample.matchAll(/['`]((?:mutation|subscription) [^'`]*)['`]/g)].map(
        ([, text = '']) => text,
      ),
    ];
    expect(documents).toHaveLength(4);
    for (const document of documents) expect(validate(schema, parse(document))).toEqual([]);
  });

  it('answer as it says: the curl command, then the first query', async () => {
    const taken = await post(curlBody());
    expect(shapeOf(taken)).toEqual(shapeOf(documentedAnswer));
    const { id } = (taken as { data: { generateImages: { task: { id: string } } } }).data.generateImages.task;
    await app.settled(id);

    const [query] = codeBlocks(readme, 'graphql');
    const page = await post(JSON.stringify({ query }));
    expect(shapeOf(page)).toEqual(shapeOf(documentedPage));
    expect(JSON.stringify(page)).toContain('SUCCEEDED');
  });

  it('print what it says: watch.mjs, run by node in the checkout', async () => {
    expect(watchExample).toContain(DOCUMENTED_URL);
    const program = watchExample.replace(DOCUMENTED_URL, new URL(app.url).host);
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
      env: { PATH: process.env.PATH, KEY: app.key },
    });
    const documented = codeBlocks(readme, '').find((text) => text.startsWith('TASK_REQUESTED')) ?? '';
    // The third column is the task as it is at delivery, which can be ahead of the event.
    expect(linesWithoutStatus(stdout)).toEqual(linesWithoutStatus(documented));
  });

  async function post(body: string): Promise<unknown> {
    const request = app.http.post('/graphql').set('authorization', `Bearer ${app.key}`);
    const answer = await request.set('content-type', 'application/json').send(body);
    return answer.body as unknown;
  }
});

describe('the variables', () => {
  const names = Object.keys(VARIABLES.shape);
  const fileNames = SECRETS.map((name) => `${name}_FILE`);

  it('are the same in config/variables.ts and .env.example', () => {
    expect(names.length).toBeGreaterThan(0);
    expect(
      exampleLines()
        .map(([name]) => name)
        .sort(),
    ).toEqual([...names, ...fileNames].sort());
  });

  it('have in .env.example their defaults', () => {
    expect(readConfig(Object.fromEntries(exampleLines()))).toEqual(readConfig({}));
  });

  it('are all in the table of README.md, and no others', () => {
    const rows = [...readme.matchAll(/^\| `([A-Z][A-Z0-9_]+)` /gm)].map(([, name]) => name);
    expect(rows.sort()).toEqual([...names].sort());
    for (const name of fileNames) expect(readme).toContain(`\`${name}\``);
  });
});

describe('the pages', () => {
  it.each(PAGES)('%s links to files and headings that are there', (page) => {
    for (const [, target = ''] of withoutCode(read(page)).matchAll(/\]\(([^)]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path = '', heading] = target.split('#');
      const file = path === '' ? page : join(dirname(page), path);
      expect({ target, isThere: existsSync(file) }).toEqual({ target, isThere: true });
      if (heading) expect(headingsOf(file)).toContain(heading);
    }
  });

  it.each(PAGES)('%s names files that are there', (page) => {
    for (const [, path = ''] of read(page).matchAll(
      /`((?:src|test|scripts|prisma|docs|clients)\/[\w./-]+)`/g,
    )) {
      const isMade = path === 'src/db/generated';
      expect({ path, isThere: isMade || existsSync(path) }).toEqual({ path, isThere: true });
    }
  });

  it('ARCHITECTURE.md names every folder below src', () => {
    const page = read('docs/ARCHITECTURE.md');
    const folders = readdirSync('src', { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((folder) => !folder.startsWith(join('src', 'db', 'generated')));
    for (const folder of folders) expect(page).toContain(`\`${folder}\``);
  });

  it('ARCHITECTURE.md names methods that are there', () => {
    const sources = sourcesBelow('src').map(read);
    const named = [...read('docs/ARCHITECTURE.md').matchAll(/`([A-Z]\w+)\.(\w+)`/g)];
    expect(named.length).toBeGreaterThan(0);
    for (const [text, className = '', method = ''] of named) {
      const form = new RegExp(`^ {2}(static )?(async )?${method}(<.*>)?\\(`, 'm');
      const isThere = sources.some((code) => code.includes(`export class ${className} `) && form.test(code));
      expect({ text, isThere }).toEqual({ text, isThere: true });
    }
  });

  it('PROTOCOL.md has the transitions of core/task.ts and the events of core/events.ts', () => {
    const page = read('docs/PROTOCOL.md');
    for (const status of TASK_STATUSES) {
      const [, cell = ''] = new RegExp(`^\\| \`${status}\` +\\|([^|]*)\\|`, 'm').exec(page) ?? [];
      const documented = [...cell.matchAll(/`(\w+)`/g)].map(([, to]) => to);
      expect({ status, to: documented }).toEqual({ status, to: TRANSITIONS[status] });
    }
    for (const type of EVENT_TYPES) expect(page).toMatch(new RegExp(`^\\| \`${type}\` `, 'm'));
  });
});

function read(path: string): string {
  return readFileSync(path, 'utf8');
}

function markdownBelow(folder: string): string[] {
  return filesBelow(folder).filter((path) => path.endsWith('.md'));
}

function sourcesBelow(folder: string): string[] {
  return filesBelow(folder).filter((path) => path.endsWith('.ts') && !path.includes('generated'));
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative('.', join(entry.parentPath, entry.name)));
}

/** The contents of a page's fenced blocks in this language. */
function codeBlocks(page: string, language: string): string[] {
  const all = [...page.matchAll(/^```(\w*)\n(.*?)^```$/gms)];
  return all.filter(([, found]) => found === language).map(([, , text = '']) => text);
}

function withoutCode(page: string): string {
  return page.replace(/^```.*?^```$/gms, '').replace(/`[^`\n]*`/g, '');
}

/** What the curl command of README.md posts. */
function curlBody(): string {
  const [, body = ''] = /curl [^]*? -d '([^']*)'/.exec(readme) ?? [];
  return body;
}

/** `[name, value]` of every variable that .env.example names; they are all commented out. */
function exampleLines(): [string, string][] {
  return [...read('.env.example').matchAll(/^#([A-Z][A-Z0-9_]+)=(.*)$/gm)].map(
    ([, name = '', value = '']) => [name, value],
  );
}

/** Headings as links name them. */
function headingsOf(file: string): string[] {
  return [...withoutCode(read(file)).matchAll(/^#+ (.*)$/gm)].map(([, text = '']) =>
    text
      .toLowerCase()
      .replace(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );
}

/** The value with its texts, numbers and booleans replaced by the names of their types. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== 'object' || value === null) return value === null ? null : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shapeOf(item)]));
}

/** The first two columns of every line. */
function linesWithoutStatus(text: string): unknown[] {
  const lines = text.trim().split('\n');
  return lines.map((line) => {
    const [type, actor] = line.split(' | ');
    return { type, actor };
  });
}
