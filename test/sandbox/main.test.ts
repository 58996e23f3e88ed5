import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from '@jest/globals';
import { waitFor } from '../support/wait-for.js';

let child: ChildProcess | undefined;
afterEach(() => {
  child?.kill('SIGKILL');
});

/** Starts the stand-alone server on a free port. Returns a function that returns its output so far. */
function start(environment: Record<string, string>): () => string {
  let output = '';
  child = spawn(
    process.execPath,
    ['--import', './test/support/setup/typescript.mjs', 'src/sandbox/main.ts'],
    {
      env: { PATH: process.env.PATH, PORT: '0', ...environment },
    },
  );
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += String(chunk)));
  return () => output;
}

describe('the stand-alone sandbox', () => {
  test('prints its address and a curl command with its token, responds at / and at /sandbox, and stops on SIGTERM', async () => {
    const output = start({ SANDBOX_TOKEN: 'a-token' });
    const url = await waitFor(
      'the address',
      () => /curl -s (http:\/\/127\.0\.0\.1:\d+)\/flux/.exec(output())?.[1],
    );
    expect(output()).toContain('Bearer a-token');
    for (const path of ['/ledger', '/sandbox/ledger']) {
      expect(await (await fetch(url + path)).json()).toEqual({ generations: [], total: 0, images: 0 });
    }
    const body = { action: 'generate', prompt: 'p [sandbox: delay=60s]', async: true };
    const headers = { authorization: 'Bearer a-token' };
    const reply = await fetch(`${url}/flux/images`, { method: 'POST', headers, body: JSON.stringify(body) });
    expect(reply.status).toBe(200);
    child?.kill('SIGTERM');
    expect(await once(child as ChildProcess, 'exit')).toEqual([0, null]);
  });

  test('prints an error and exits with 1 when it cannot listen on its address', async () => {
    const output = start({ HOST: '192.0.2.1' });
    expect(await once(child as ChildProcess, 'exit')).toEqual([1, null]);
    expect(output()).toContain('cannot listen on 192.0.2.1:0');
  });
});
