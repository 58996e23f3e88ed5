/**
 * Lets a child process of a test run our TypeScript: `node --import ./test/support/setup/typescript.mjs file.ts`. The tests
 * themselves are transformed by jest, with the same compiler and the same options.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { register } from 'node:module';
import { URL, fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) register(import.meta.url);

/** Our imports say .js, as TypeScript wants it; the file is .ts. */
export async function resolve(specifier, context, next) {
  if (/^\.{1,2}\/.*\.js$/.test(specifier) && context.parentURL?.endsWith('.ts')) {
    const url = new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL);
    if (existsSync(url)) return { url: url.href, shortCircuit: true };
  }
  // The main program of a child process that our TypeScript starts.
  const main = /^file:.*\.js$/.test(specifier) && new URL(specifier.replace(/\.js$/, '.ts'));
  if (main && !existsSync(new URL(specifier)) && existsSync(main))
    return { url: main.href, shortCircuit: true };
  return next(specifier, context);
}

export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const { transform } = await import('@swc/core');
  const { default: jestConfig } = await import('../../../jest.config.js');
  const [[, options]] = Object.values(jestConfig.transform);
  const filename = fileURLToPath(url);
  const source = await readFile(filename, 'utf8');
  const { code } = await transform(source, { ...options, filename, swcrc: false, sourceMaps: 'inline' });
  return { format: 'module', source: code, shortCircuit: true };
}
