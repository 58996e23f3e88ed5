import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import { waitFor } from '../support/wait-for.js';

let child: ChildProcess | undefined;
afterEach(() => {
  child?.kill('SIGKILL');
});

/** Starts the stand-alone server on a free port. Returns what it has printed so far. */
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

describe('the sandbox on its own', () => {
  it('prints where it listens and a curl line with its token, answers at / and at /sandbox, stops on SIGTERM', async () => {
    const output = start({ SANDBOX_TOKEN: 'a-token' });
    const url = await waitFor(
      'the address',
      () => /curl -s (http:\/\/127\.0\.0\.1:\d+)\/flux/.exec(output())?.[1],
    );
    expect(output()).toContain('Bearer a-token');
    for (const path of ['/ledger', '/sandbox/ledger']) {
      expect(await (await fetch(url + path)).json()).toEqual({ generations: [], total: 0, pictures: 0 });
    }
    const ask = { action: 'generate', prompt: 'p [sandbox: delay=60s]', async: true };
    const headers = { authorization: 'Bearer a-token' };
    const reply = await fetch(`${url}/flux/images`, { method: 'POST', headers, body: JSON.stringify(ask) });
    expect(reply.status).toBe(200);
    child?.kill('SIGTERM');
    expect(await once(child as ChildProcess, 'exit')).toEqual([0, null]);
  });

  it('says so and ends with 1 when its address cannot be used', async () => {
    const output = start({ HOST: '192.0.2.1' });
    expect(await once(child as ChildProcess, 'exit')).toEqual([1, null]);
    expect(output()).toContain('cannot listen on 192.0.2.1:0');
  });
});
