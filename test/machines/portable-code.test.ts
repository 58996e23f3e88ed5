import { Linter } from 'eslint';
import { expect, test } from '@jest/globals';
import { portableCode } from '../../scripts/lint/portable-code.js';

const lint = (code: string) => new Linter().verify(code, [portableCode]).map(({ message }) => message);

test.each([
  ["new URL('../a', import.meta.url).pathname", 'fileURLToPath'],
  ['new URL(import.meta.url).pathname', 'fileURLToPath'],
  ["write('/tmp/x')", 'tmpdir'],
  ["write('/tmp')", 'tmpdir'],
  ["read('/bin/true')", 'process.platform'],
  ['read(`/proc/${pid}/stat`)', 'process.platform'],
  ["spawn('npm', ['start'])", 'process.execPath'],
  ["execFileSync('ps')", 'process.execPath'],
  ["import { exec } from 'node:child_process'", 'execFile'],
  ["import { execSync as run } from 'node:child_process'", 'execFile'],
  ['spawn(program, [], { shell: true })', 'Start the program itself'],
  ["child.kill('SIGTERM')", 'SHUTDOWN_MESSAGE'],
  ["process.kill(pid, 'SIGINT')", 'ProcessControl'],
  ["process.once('SIGINT', stop)", 'process.on'],
])('lint rejects %s', (code, advice) => {
  expect(lint(code)).toEqual([expect.stringContaining(advice)]);
});

test.each([
  "fileURLToPath(new URL('../a', import.meta.url))",
  'new URL(address).pathname',
  "route('/tasks/:id')",
  "route('/variants')",
  "spawn(process.execPath, ['main.js'])",
  "child.kill('SIGKILL')",
  "/(\\d+)/.exec('4')",
])('lint accepts %s', (code) => {
  expect(lint(code)).toEqual([]);
});
