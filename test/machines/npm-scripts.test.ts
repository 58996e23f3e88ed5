import { readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, open, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { BareMachine } from '../support/machines/bare-machine.js';

/** Several builds run, each with its own compiler. */
const TIMEOUT_MS = 300_000;

const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };

let machine: BareMachine;
beforeAll(async () => {
  machine = await BareMachine.create();
});
afterAll(() => machine.remove());

test.each(Object.entries(scripts))('npm run %s is a command for every shell: %s', (_name, command) => {
  for (const part of command.split(' && ')) {
    // Nothing to quote, to expand or to redirect, no variable before a program, and no program of one system.
    expect(part).toMatch(
      /^(node|npm run|npm ci|prettier|eslint|tsc|depcruise|graphql-codegen)( [\w./:@=-]+)+$/,
    );
    expect(part).not.toMatch(/^\S+=|(^| )\//);
  }
});

test('the shell that stands in for cmd.exe rejects what works only in a POSIX shell', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-scripts-'));
  const commands = {
    variable: 'A=1 node -v',
    exec: 'exec node -v',
    redirect: 'node -v > /dev/null',
    good: 'node -v',
  };
  await writeFile(join(folder, 'package.json'), JSON.stringify({ scripts: commands }));
  const codes = [];
  for (const name of Object.keys(commands)) codes.push((await machine.npm(['run', name], folder)).code);
  await rm(folder, { recursive: true });
  expect(codes).toEqual([1, 1, 1, 0]);
});

describe('npm run build, on a machine with only Node and npm', () => {
  let project: string;
  const distFile = () => join(project, 'dist', 'src', 'main.js');

  beforeAll(async () => {
    project = await mkdtemp(join(tmpdir(), 'darkroom-build-'));
    await cp('scripts/npm', join(project, 'scripts/npm'), { recursive: true });
    await mkdir(join(project, 'node_modules'));
    // All but the cache, where the lock of the real project is.
    for (const name of await readdir('node_modules'))
      if (name !== '.cache')
        await symlink(resolve('node_modules', name), join(project, 'node_modules', name));
    await cp('package.json', join(project, 'package.json'));
    await mkdir(join(project, 'src'));
    await mkdir(join(project, 'prisma'));
    const generator = /^generator client {.*?^}/ms.exec(await readFile('prisma/schema.prisma', 'utf8'))?.[0];
    const model = 'datasource db {\n  provider = "postgresql"\n}\n\nmodel Thing {\n  id String @id\n}\n';
    await writeFile(join(project, 'prisma/schema.prisma'), `${generator}\n${model}`);
    const compilerOptions = { module: 'NodeNext', target: 'ES2022', rootDir: '.', outDir: 'dist', types: [] };
    const options = { compilerOptions: { ...compilerOptions, incremental: true, noEmitOnError: true } };
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify(options));
    const config = { extends: './tsconfig.json', include: ['src'], exclude: ['src/db'] };
    await writeFile(join(project, 'tsconfig.build.json'), JSON.stringify(config));
    await writeSource('the first');
  });
  afterAll(() => rm(project, { recursive: true }));

  async function writeSource(text: string): Promise<void> {
    await writeFile(
      join(project, 'src', 'main.ts'),
      `export const text: string = ${JSON.stringify(text)};\n`,
    );
  }

  test(
    'says what it does and how long it took',
    async () => {
      const { code, output } = await machine.npm(['run', '--silent', 'build'], project);
      expect({ code, output: output.trim().split('\n') }).toEqual({
        code: 0,
        output: [
          expect.stringMatching(/^Building Darkroom\./),
          '  generating the database client',
          '  compiling',
          expect.stringMatching(/^Built in \d+ s\.$/),
        ],
      });
      expect(await readFile(distFile(), 'utf8')).toContain('the first');
    },
    TIMEOUT_MS,
  );

  test(
    'writes nothing when nothing has changed',
    async () => {
      const before = await stat(distFile());
      const { code, output } = await machine.npm(['run', '--silent', 'build'], project);
      expect({ code, output }).toEqual({ code: 0, output: 'The build in dist is up to date.\n' });
      const after = await stat(distFile());
      expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
    },
    TIMEOUT_MS,
  );

  test(
    'replaces no file that a running program has open, and builds once when two start at once',
    async () => {
      const running = await open(distFile());
      await writeSource('the second');
      const builds = await Promise.all([1, 2].map(() => machine.npm(['run', '--silent', 'build'], project)));
      expect(builds.map(({ code }) => code)).toEqual([0, 0]);
      expect(builds.filter(({ output }) => output.includes('Built in'))).toHaveLength(1);
      expect(await running.readFile('utf8')).toContain('the first');
      await running.close();
      expect(await readFile(distFile(), 'utf8')).toContain('the second');
    },
    TIMEOUT_MS,
  );

  test(
    'changes nothing when it fails, and leaves no files',
    async () => {
      await writeFile(join(project, 'src', 'main.ts'), 'export const text: string = 3;\n');
      const { code, output } = await machine.npm(['run', '--silent', 'build'], project);
      expect(code).not.toBe(0);
      expect(output).toContain('TS2322');
      expect(await readFile(distFile(), 'utf8')).toContain('the second');
      expect((await readdir(project)).filter((name) => name.startsWith('dist'))).toEqual(['dist']);
    },
    TIMEOUT_MS,
  );
});
