import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { API_ERRORS } from '../../src/core/flux-api/flux-error.js';
import { FLUX_CODES, fluxErrorOf } from '../../src/http/flux-api/flux-error-reply.js';
import { FLUX_FAILURES } from '../../src/services/flux-api/flux-reply.js';
import { type FluxServer, startDoor, startSandbox } from '../support/flux-api/flux-servers.js';
import { expectShape } from '../support/flux-api/upstream-samples.js';
import { freePort } from '../support/net/free-port.js';
import { waitFor } from '../support/wait-for.js';

const HOSTED = { url: 'https://api.acedata.cloud', token: 'your-token' };
const OURS = { url: 'http://127.0.0.1:4000', token: 'dk_…' };
const run = promisify(execFile);

const page = readFileSync('docs/MIGRATING.md', 'utf8');
/** Each client before and after its move, by the heading it stands below. */
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
  if (!found) throw new Error(`There is no ${title}.`);
  return found;
}

/** A program that was written for one server, for another. */
function moved(lines: readonly string[], from: { url: string; token: string }, to: FluxServer): string {
  return lines.join('\n').replaceAll(from.url, to.url).replaceAll(from.token, to.token);
}

describe('MIGRATING.md', () => {
  let door: FluxServer;
  let hosted: FluxServer;
  beforeAll(async () => {
    [door, hosted] = await Promise.all([startDoor(), startSandbox()]);
  });
  afterAll(() => Promise.all([door.close(), hosted.close()]));

  it('shows the same client in curl, JavaScript and Python', () => {
    expect(clients.map(({ title }) => title)).toEqual(['curl', 'JavaScript', 'Python']);
    for (const { after } of clients) {
      for (const text of ['/flux/images', 'a white siamese cat', 'flux-kontext-pro'])
        expect(after.join('\n')).toContain(text);
    }
  });

  it.each(clients)('$title: base URL and key change, and nothing else', ({ before, after, changed }) => {
    expect(changed.length).toBeGreaterThan(0);
    const text = before.join('\n').replaceAll(HOSTED.url, OURS.url).replaceAll(HOSTED.token, OURS.token);
    expect(text).toBe(after.join('\n'));
  });

  it('curl: prints the pictures, before and after', async () => {
    const { before, after } = clientOf('curl');
    for (const command of [moved(before, HOSTED, hosted), moved(after, OURS, door)]) {
      const { stdout } = await run('sh', ['-c', command]);
      expectShape(JSON.parse(stdout), 'waited-two-images-numeric-timings');
    }
  });

  it('JavaScript: prints the pictures, before and after', async () => {
    const { before, after } = clientOf('JavaScript');
    const moves = [
      { program: moved(before, HOSTED, hosted), at: hosted },
      { program: moved(after, OURS, door), at: door },
    ];
    for (const { program, at } of moves) {
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program]);
      const lines = stdout.trim().split('\n');
      expect(lines).toHaveLength(2);
      for (const line of lines) expect(line).toMatch(`a white siamese cat ${at.url}/`);
    }
  });

  it('its receiver takes each callback that was signed once, and no other', async () => {
    const [, receiver = ''] = /^```js\n(.*?)^```$/ms.exec(page) ?? [];
    const secret = `whsec_${Buffer.from('a secret of this test alone').toString('base64')}`;
    const port = await freePort();
    const env = { PATH: process.env.PATH, WEBHOOK_SECRET: secret, PORT: String(port) };
    const child = spawn(process.execPath, ['--input-type=module', '-e', receiver], { env });
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
    await waitFor('the receiver', async () => (await post('first', body)) === 204);
    expect(await post('first', body)).toBe(204);
    expect(await post('forged', body, `${body} `)).toBe(401);
    expect(await post('second', failure)).toBe(204);
    await waitFor('the last line', () => printed.length >= 2);
    child.kill();
    await once(child, 'exit');
    expect(printed).toEqual(['one http://one', 'two forbidden']);
  });

  it('README.md: its request is answered with pictures', async () => {
    const [command = ''] = /curl -s \S+\/flux\/images [^`]*/.exec(readFileSync('README.md', 'utf8')) ?? [];
    const { stdout } = await run('sh', ['-c', moved([command], OURS, door)]);
    expectShape(JSON.parse(stdout), 'waited-two-images-numeric-timings');
  });
});

it('ERRORS.md has what each of our codes is called in the Flux API, and its status', () => {
  const [, section = ''] =
    /^## In the Flux API$(.*?)^## /ms.exec(readFileSync('docs/ERRORS.md', 'utf8')) ?? [];
  const rows = [...section.matchAll(/^\| `(\w+)` +\| `(\w+)` +\| (\d+) /gm)];
  const documented = rows.map(([, code, fluxCode, status]) => [code, fluxCode, Number(status)]);
  const others = ['DATABASE_UNAVAILABLE', 'INTERNAL_SERVER_ERROR'];
  const ofRequests = [...Object.keys(FLUX_CODES), ...others].map((code) => {
    const { code: fluxCode, status } = fluxErrorOf(code);
    return [code, fluxCode, status];
  });
  const ofTasks = Object.entries(FLUX_FAILURES).map(([code, fluxCode]) => [
    code,
    fluxCode,
    API_ERRORS[fluxCode].status,
  ]);
  expect(documented).toEqual([...ofRequests, ...ofTasks]);
});
