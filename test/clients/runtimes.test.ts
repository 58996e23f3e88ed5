import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { buildSchema, parse, validate } from 'graphql';
import { TaskEventPageDocument } from '../../clients/operations.js';
import { TestApp } from '../support/app/test-app.js';
import { CURL, JAVASCRIPT, PYTHON, type Runtime } from '../support/clients/runtimes.js';
import { readText } from '../support/docs/markdown.js';
import { parseEvents } from '../support/events/server-sent-events.js';

/** Each runtime needs seconds to start on a busy machine. */
const TIMEOUT_MS = 120_000;
/** Runtimes escape each of these in a way of their own. */
const PROMPT = 'Münchner 猫 🙂 in a cafe\u0301, "quoted"\nin a second \\line';

const page = readText('docs/RUNTIMES.md');

/** Programs of docs/RUNTIMES.md, by section and language, and what runs them. */
const PROGRAMS: { section: string; language: string; extension: string; runtimes: readonly Runtime[] }[] = [
  { section: 'fetch', language: 'js', extension: 'mjs', runtimes: JAVASCRIPT },
  { section: 'WebSocket', language: 'js', extension: 'mjs', runtimes: JAVASCRIPT },
  { section: 'Python', language: 'python', extension: 'py', runtimes: [PYTHON] },
  { section: 'curl', language: 'sh', extension: 'sh', runtimes: [CURL] },
];

const missing = [...JAVASCRIPT, PYTHON, CURL].filter(({ executable }) => !executable);
const instructions = missing.map(({ name, howToInstall }) => `${name} is missing. ${howToInstall}`);
// A check that CI silently skips is none. A developer without a runtime sees in the test's name how to get it.
if (missing.length > 0 && process.env.CI) throw new Error(instructions.join('\n'));

let app: TestApp;
let folder: string;
beforeAll(async () => {
  app = await TestApp.start();
  folder = await mkdtemp(join(tmpdir(), 'darkroom-runtimes-'));
});
afterAll(async () => {
  await app.stop();
  await rm(folder, { recursive: true, force: true });
});

const codeOf = (section: string, language: string) =>
  new RegExp(`^## ${section}\n(?:(?!^## ).*\n)*?\`\`\`${language}\n((?:.*\n)*?)\`\`\`$`, 'm').exec(
    page,
  )?.[1] ?? '';

describe.each(PROGRAMS)(
  'the program in $section of RUNTIMES.md',
  ({ section, language, extension, runtimes }) => {
    let file: string;
    beforeAll(async () => {
      file = join(folder, `${section}.${extension}`);
      await writeFile(file, codeOf(section, language));
      await writeFile(join(folder, 'request.json'), curlRequest());
    });

    describe.each(runtimes)('with $name', ({ name, executable, args, howToInstall }) => {
      const testWithRuntime = executable ? test : test.skip;
      const hint = executable ? '' : `. ${name} is missing. ${howToInstall}`;

      testWithRuntime(
        `generates an image and prints each of its events once${hint}`,
        async () => {
          const before = await taskCount();
          const { code, output, errors } = await run([executable ?? '', ...args, file], { PROMPT });
          expect({ code, errors }).toEqual({ code: 0, errors: '' });
          const [first = '', ...lines] = output.split('\n');
          const [, id = '', prompt] = /^(\S+)(?: (.*))?$/.exec(first) ?? [];
          const task = await app.task(id);
          expect(task).toMatchObject({
            prompt: PROMPT,
            status: 'SUCCEEDED',
            images: [{ mimeType: 'image/png' }],
          });
          if (section !== 'curl') expect(JSON.parse(prompt ?? '')).toBe(PROMPT);
          const printed =
            section === 'curl' ? printedByCurl(lines.join('\n')) : lines.filter((line) => line !== '');
          expect(printed).toEqual(await writtenEvents(id));
          expect(await taskCount()).toBe(before + 1);
        },
        TIMEOUT_MS,
      );

      testWithRuntime(
        `fails with a message if the key is wrong${hint}`,
        async () => {
          const { code, output, errors } = await run([executable ?? '', ...args, file], {
            PROMPT,
            DARKROOM_KEY: 'dk_wrong',
          });
          expect(code).not.toBe(0);
          expect(output).toBe('');
          expect(errors).toMatch(/API key|UNAUTHENTICATED|4403/);
        },
        TIMEOUT_MS,
      );
    });
  },
);

test('the GraphQL documents of RUNTIMES.md are valid against the schema', () => {
  const schema = buildSchema(readText('schema.graphql'));
  const documents = page.match(/(mutation|subscription) \(\$(?:.|\n)*?\n?\}(?=["'`]| *"+)/g) ?? [];
  expect(documents).toHaveLength(7);
  for (const document of documents) expect(validate(schema, parse(document))).toEqual([]);
});

async function taskCount(): Promise<number> {
  const [row] = await app.rows<{ count: number }>('SELECT count(*)::int AS count FROM tasks');
  return row?.count ?? 0;
}

/** The request that the section about curl shows, with another prompt. */
function curlRequest(): string {
  const { query } = JSON.parse(codeOf('curl', 'json')) as { query: string };
  return JSON.stringify({ query, variables: { input: { prompt: PROMPT } } });
}

/** Runs a command to its end. */
async function run([command = '', ...args]: string[], environment: Record<string, string>) {
  const child = spawn(command, args, {
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      DENO_DIR: join(folder, 'deno'),
      DENO_NO_UPDATE_CHECK: '1',
      DARKROOM_URL: app.url,
      DARKROOM_KEY: app.apiKey,
      REQUEST_FILE: join(folder, 'request.json'),
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS / 2,
    killSignal: 'SIGKILL',
  });
  const closed = once(child, 'close');
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  await closed;
  return { code: child.exitCode, output, errors };
}

/** Every event of a task, in the format of the programs. */
async function writtenEvents(taskId: string): Promise<string[]> {
  const { taskEvents } = await app.query(TaskEventPageDocument, {
    first: 100,
    filter: { taskIds: [taskId] },
  });
  return taskEvents.nodes.map(({ type, cursor }) => `${type} ${cursor}`);
}

function printedByCurl(stream: string): string[] {
  const events = parseEvents(stream);
  expect(events.pop()).toMatchObject({ event: 'complete' });
  return events.map(({ id, data = '' }) => `${(JSON.parse(data) as { type: string }).type} ${id}`);
}
