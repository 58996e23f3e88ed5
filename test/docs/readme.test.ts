import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { buildSchema, parse, validate } from 'graphql';
import { readConfig } from '../../src/config/config.js';
import { SECRET_VARIABLES } from '../../src/config/secret-files.js';
import { environmentSchema } from '../../src/config/variables.js';
import { EVENT_TYPES } from '../../src/core/events/task-event.js';
import { TASK_STATUSES, TRANSITIONS } from '../../src/core/tasks/task.js';
import { TestApp } from '../support/app/test-app.js';
import { codeBlocks, filesBelow, PAGES, readText } from '../support/docs/markdown.js';

const DOCUMENTED_HOST = '127.0.0.1:4000';

const readme = readText('README.md');
const [subscribeExample = ''] = codeBlocks(readme, 'js');
const [documentedMutationResult, documentedQueryResult] = codeBlocks(readme, 'json').map(
  (text) => JSON.parse(text) as unknown,
);

describe('examples of README.md', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await TestApp.start();
  });
  afterAll(() => app.stop());

  test('the GraphQL documents are valid against the schema', () => {
    const schema = buildSchema(readText('schema.graphql'));
    const documents = [
      (JSON.parse(curlBody()) as { query: string }).query,
      ...codeBlocks(readme, 'graphql'),
      ...[...subscribeExample.matchAll(/['`]((?:mutation|subscription) [^'`]*)['`]/g)].map(
        ([, text = '']) => text,
      ),
    ];
    expect(documents).toHaveLength(4);
    for (const document of documents) expect(validate(schema, parse(document))).toEqual([]);
  });

  test('the curl command and the first query return results of the documented shape', async () => {
    const mutationResult = await post(curlBody());
    expect(shapeOf(mutationResult)).toEqual(shapeOf(documentedMutationResult));
    const { data } = mutationResult as { data: { generateImages: { task: { id: string } } } };
    await app.waitUntilSettled(data.generateImages.task.id);

    const [query] = codeBlocks(readme, 'graphql');
    const queryResult = await post(JSON.stringify({ query }));
    expect(shapeOf(queryResult)).toEqual(shapeOf(documentedQueryResult));
    expect(JSON.stringify(queryResult)).toContain('SUCCEEDED');
  });

  test('the subscription program prints the documented events', async () => {
    expect(subscribeExample).toContain(DOCUMENTED_HOST);
    const program = subscribeExample.replace(DOCUMENTED_HOST, new URL(app.url).host);
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
      env: { PATH: process.env.PATH, KEY: app.apiKey },
    });
    const documented = codeBlocks(readme, '').find((text) => text.startsWith('TASK_REQUESTED')) ?? '';
    // The third column is the status of the task at delivery, which can be ahead of the event.
    expect(withoutStatus(stdout)).toEqual(withoutStatus(documented));
  });

  async function post(body: string): Promise<unknown> {
    const request = app.http.post('/graphql').set('authorization', `Bearer ${app.apiKey}`);
    const response = await request.set('content-type', 'application/json').send(body);
    return response.body as unknown;
  }
});

describe('environment variables', () => {
  const names = Object.keys(environmentSchema.shape);
  const fileNames = SECRET_VARIABLES.map((name) => `${name}_FILE`);

  test('.env.example lists exactly the variables of config/variables.ts and the _FILE variables', () => {
    expect(names.length).toBeGreaterThan(0);
    expect(
      exampleVariables()
        .map(([name]) => name)
        .sort(),
    ).toEqual([...names, ...fileNames].sort());
  });

  test('.env.example shows the default values', () => {
    expect(readConfig(Object.fromEntries(exampleVariables()))).toEqual(readConfig({}));
  });

  test('the table of CONFIGURATION.md lists exactly the variables of config/variables.ts', () => {
    const page = readText('docs/CONFIGURATION.md');
    const rows = [...page.matchAll(/^\| `([A-Z][A-Z0-9_]+)` /gm)].map(([, name]) => name);
    expect(rows.sort()).toEqual([...names].sort());
    for (const name of fileNames) expect(page).toContain(`\`${name}\``);
  });
});

describe('references from the documentation to the code', () => {
  test.each(PAGES)('every repository path that %s mentions exists', (page) => {
    for (const [, path = ''] of readText(page).matchAll(
      /`((?:src|test|scripts|prisma|docs|clients|bench)\/[\w./-]+)`/g,
    )) {
      const isGenerated = path === 'src/db/generated';
      expect({ path, exists: isGenerated || existsSync(path) }).toEqual({ path, exists: true });
    }
  });

  test('ARCHITECTURE.md names every folder below src', () => {
    const page = readText('docs/ARCHITECTURE.md');
    const folders = readdirSync('src', { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((folder) => !folder.startsWith(join('src', 'db', 'generated')));
    expect(folders.filter((folder) => !page.includes(`\`${folder}\``))).toEqual([]);
  });

  test('every method that ARCHITECTURE.md mentions exists', () => {
    const sources = filesBelow('src', '.ts')
      .filter((path) => !path.includes('generated'))
      .map(readText);
    const mentions = [...readText('docs/ARCHITECTURE.md').matchAll(/`([A-Z]\w+)\.(\w+)`/g)];
    expect(mentions.length).toBeGreaterThan(0);
    for (const [text, className = '', method = ''] of mentions) {
      const declaration = new RegExp(`^ {2}(static )?(async )?${method}(<.*>)?\\(`, 'm');
      const exists = sources.some(
        (code) => code.includes(`export class ${className} `) && declaration.test(code),
      );
      expect({ text, exists }).toEqual({ text, exists: true });
    }
  });

  test('PROTOCOL.md lists the transitions of core/tasks/task.ts', () => {
    const page = readText('docs/PROTOCOL.md');
    for (const status of TASK_STATUSES) {
      const [, cell = ''] = new RegExp(`^\\| \`${status}\` +\\|([^|]*)\\|`, 'm').exec(page) ?? [];
      const documented = [...cell.matchAll(/`(\w+)`/g)].map(([, to]) => to);
      expect({ status, to: documented }).toEqual({ status, to: TRANSITIONS[status] });
    }
  });

  test('PROTOCOL.md lists the event types of core/events/task-event.ts', () => {
    const page = readText('docs/PROTOCOL.md');
    for (const type of EVENT_TYPES) expect(page).toMatch(new RegExp(`^\\| \`${type}\` `, 'm'));
  });
});

/** The body that the curl command of README.md posts. */
function curlBody(): string {
  const [, body = ''] = /curl [^]*? -d '([^']*)'/.exec(readme) ?? [];
  return body;
}

/** `[name, value]` of every variable in .env.example. All of them are commented out. */
function exampleVariables(): [string, string][] {
  return [...readText('.env.example').matchAll(/^#([A-Z][A-Z0-9_]+)=(.*)$/gm)].map(
    ([, name = '', value = '']) => [name, value],
  );
}

/** The value with every string, number and boolean replaced by the name of its type. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== 'object' || value === null) return value === null ? null : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shapeOf(item)]));
}

/** The type and the actor of every printed event. */
function withoutStatus(text: string): unknown[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [type, actor] = line.split(' | ');
      return { type, actor };
    });
}
