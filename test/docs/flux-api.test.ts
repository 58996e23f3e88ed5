import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import {
  FLUX_ERRORS,
  FLUX_REQUEST_ERRORS,
  OTHER_FLUX_ERROR,
  FLUX_CODE_BY_TASK_ERROR,
} from '../../src/core/flux-api/flux-errors.js';
import { type FluxServer, startDarkroom, startSandbox } from '../support/flux-api/flux-servers.js';
import { expectShape } from '../support/flux-api/upstream-samples.js';
import { freePort } from '../support/net/free-port.js';
import { waitFor } from '../support/wait-for.js';

const HOSTED = { url: 'https://api.acedata.cloud', token: 'your-token' };
const SELF_HOSTED = { url: 'http://127.0.0.1:4000', token: 'dk_…' };
const run = promisify(execFile);

const page = readFileSync('docs/MIGRATING.md', 'utf8');
/** The client of each section before and after its migration, with the heading of the section. */
const clients = page.split(/^## /m).flatMap((section) => {
  const [, diff] = /^```diff\n(.*?)^```$/ms.exec(section) ?? [];
  if (diff === undefined) return [];
  const lines = diff.split('\n');
  const side = (sign: string) =>
    lines.filter((line) => line === '' || line[0] === ' ' || line[0] === sign).map((line) => line.slice(1));
  const changed = lines.filter((line) => /^[+-]/.test(line));
  return [{ title: section.split('\n')[0] ?? '', before: side('-'), after: side('+'), changed }];
});

function clientOf(title: string) {
  const found = clients.find((client) => client.title === title);
  if (!found) throw new Error(`MIGRATING.md has no client in a section "${title}".`);
  return found;
}

/** The program with the URL and the token of another server. */
function retarget(lines: readonly string[], from: { url: string; token: string }, to: FluxServer): string {
  return lines.join('\n').replaceAll(from.url, to.url).replaceAll(from.token, to.token);
}

describe('MIGRATING.md', () => {
  let darkroom: FluxServer;
  let hosted: FluxServer;
  beforeAll(async () => {
    [darkroom, hosted] = await Promise.all([startDarkroom(), startSandbox()]);
  });
  afterAll(() => Promise.all([darkroom.close(), hosted.close()]));

  test('the page shows the same client in curl, JavaScript and Python', () => {
    expect(clients.map(({ title }) => title)).toEqual(['curl', 'JavaScript', 'Python']);
    for (const { after } of clients) {
      for (const text of ['/flux/images', 'a white siamese cat', 'flux-kontext-pro'])
        expect(after.join('\n')).toContain(text);
    }
  });

  test.each(clients)(
    'only the base URL and the key change in the $title client',
    ({ before, after, changed }) => {
      expect(changed.length).toBeGreaterThan(0);
      const text = before
        .join('\n')
        .replaceAll(HOSTED.url, SELF_HOSTED.url)
        .replaceAll(HOSTED.token, SELF_HOSTED.token);
      expect(text).toBe(after.join('\n'));
    },
  );

  test('the curl client prints the images of both servers', async () => {
    const { before, after } = clientOf('curl');
    for (const command of [retarget(before, HOSTED, hosted), retarget(after, SELF_HOSTED, darkroom)]) {
      const { stdout } = await run('sh', ['-c', command]);
      expectShape(JSON.parse(stdout), 'waited-two-images-numeric-timings');
    }
  });

  test('the JavaScript client prints the images of both servers', async () => {
    const { before, after } = clientOf('JavaScript');
    const runs = [
      { program: retarget(before, HOSTED, hosted), server: hosted },
      { program: retarget(after, SELF_HOSTED, darkroom), server: darkroom },
    ];
    for (const { program, server } of runs) {
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program]);
      const lines = stdout.trim().split('\n');
      expect(lines).toHaveLength(2);
      for (const line of lines) expect(line).toMatch(`a white siamese cat ${server.url}/`);
    }
  });

  test('the webhook endpoint handles each signed webhook once and refuses forged ones', async () => {
    const [, endpoint = ''] = /^```js\n(.*?)^```$/ms.exec(page) ?? [];
    const secret = `whsec_${Buffer.from('a secret of this test alone').toString('base64')}`;
    const port = await freePort();
    const env = { PATH: process.env.PATH, WEBHOOK_SECRET: secret, PORT: String(port) };
    const child = spawn(process.execPath, ['--input-type=module', '-e', endpoint], { env });
    const printed: string[] = [];
    createInterface(child.stdout).on('line', (line) => printed.push(line));

    const body = JSON.stringify({ success: true, task_id: 'one', data: [{ image_url: 'http://one' }] });
    const failure = JSON.stringify({ success: false, task_id: 'two', error: { code: 'forbidden' } });
    const post = async (id: string, text: string, signed = text) => {
      const now = new Date();
      const headers = {
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
        'webhook-signature': new Webhook(secret).sign(id, now, signed),
      };
      const init = { method: 'POST', headers, body: text };
      return fetch(`http://127.0.0.1:${port}/`, init).then(
        ({ status }) => status,
        () => null,
      );
    };
    await waitFor('the endpoint', async () => (await post('first', body)) === 204);
    expect(await post('first', body)).toBe(204);
    expect(await post('forged', body, `${body} `)).toBe(401);
    expect(await post('second', failure)).toBe(204);
    await waitFor('the last line', () => printed.length >= 2);
    child.kill();
    await once(child, 'exit');
    expect(printed).toEqual(['one http://one', 'two forbidden']);
  });

  test('the Flux API request of README.md returns images', async () => {
    const [command = ''] = /curl -s \S+\/flux\/images [^`]*/.exec(readFileSync('README.md', 'utf8')) ?? [];
    const { stdout } = await run('sh', ['-c', retarget([command], SELF_HOSTED, darkroom)]);
    expectShape(JSON.parse(stdout), 'waited-two-images-numeric-timings');
  });
});

test('ERRORS.md lists the Flux API code and the status of every error code', () => {
  const [, section = ''] =
    /^## In the Flux API$(.*?)^## /ms.exec(readFileSync('docs/ERRORS.md', 'utf8')) ?? [];
  const rows = [...section.matchAll(/^\| `(\w+)` +\| `(\w+)` +\| (\d+) /gm)];
  const documented = rows.map(([, code, fluxCode, status]) => [code, fluxCode, Number(status)]);
  const errors = Object.entries({ ...FLUX_REQUEST_ERRORS, INTERNAL_SERVER_ERROR: OTHER_FLUX_ERROR });
  const ofRequests = errors.map(([code, { code: fluxCode, status }]) => [code, fluxCode, status]);
  const ofTasks = Object.entries(FLUX_CODE_BY_TASK_ERROR).map(([code, fluxCode]) => [
    code,
    fluxCode,
    FLUX_ERRORS[fluxCode].status,
  ]);
  expect(documented).toEqual([...ofRequests, ...ofTasks]);
});
