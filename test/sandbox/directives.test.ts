import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseDirectives } from '../../src/sandbox/directives.js';
import { FLUX_ERRORS, FLUX_ERROR_CODES } from '../../src/core/flux-api/flux-errors.js';
import { waitFor } from '../support/wait-for.js';
import { CallbackServer, SandboxUnderTest } from '../support/upstreams/sandbox-under-test.js';

let sandbox: SandboxUnderTest;
let callbackServer: CallbackServer;
beforeAll(async () => {
  sandbox = await SandboxUnderTest.start();
  callbackServer = await CallbackServer.start();
});
afterAll(async () => {
  await sandbox.stop();
  await callbackServer.stop();
});

function callbacksOf(taskId: string | undefined) {
  return callbackServer.callbacks.filter((body) => body.task_id === taskId);
}
const finishedAtOf = async (taskId: string | undefined) => (await sandbox.task(taskId)).finished_at;

describe('parseDirectives', () => {
  test('parses several options from one or several brackets, and removes them from the caption', () => {
    expect(parseDirectives('a cat [sandbox: delay=2s images=1] on a [sandbox:hiccup] mat')).toEqual({
      caption: 'a cat on a mat',
      directives: { delayMs: 2000, images: 1, hiccup: true },
    });
  });

  test('leaves other brackets alone', () => {
    expect(parseDirectives('a [very] nice cat')).toEqual({ caption: 'a [very] nice cat', directives: {} });
  });

  test.each([
    'delay=5',
    'delay=601s',
    'error=no',
    'times=2',
    'times=0 error=bare',
    'images=5',
    'hiccup=1',
    'x=1',
    '__proto__=1',
    'images=',
  ])('refuses %s and lists the valid directives', (option) => {
    const parse = () => parseDirectives(`p [sandbox: ${option}]`);
    for (const name of [
      'delay=',
      'error=',
      'times=',
      'fail=',
      'callback=',
      'images=',
      'reply=',
      'image=',
      'hiccup',
    ]) {
      expect(parse).toThrow(name);
    }
  });
});

describe('error', () => {
  test.each(FLUX_ERROR_CODES)(
    '%s: refuses the request with its status and envelope, and bills nothing',
    async (code) => {
      const prompt = `refused by ${code} [sandbox: error=${code}]`;
      const reply = await sandbox.generate(prompt);
      expect(reply.status).toBe(FLUX_ERRORS[code].status);
      expect(reply.body).toEqual({
        success: false,
        error: { code, message: expect.any(String) },
        trace_id: expect.any(String),
      });
      expect(reply.headers.get('retry-after')).toBe(code === 'too_many_requests' ? '1' : null);
      expect((await sandbox.charges(prompt)).total).toBe(0);
    },
  );

  test('bare: returns 500 with a plain string as the error', async () => {
    const { status, body } = await sandbox.generate('p [sandbox: error=bare]');
    expect([status, body]).toEqual([500, { error: 'upstream unavailable' }]);
  });

  test('with times: refuses that many submissions of exactly this prompt, then accepts', async () => {
    const prompt = 'third time lucky [sandbox: error=too_many_requests times=2]';
    const statuses: number[] = [];
    for (let attempt = 0; attempt < 4; attempt += 1) statuses.push((await sandbox.generate(prompt)).status);
    expect(statuses).toEqual([429, 429, 200, 200]);
    expect((await sandbox.generate(`another ${prompt}`)).status).toBe(429);
    expect((await sandbox.charges(prompt)).total).toBe(2);
  });
});

describe('fail', () => {
  test.each(FLUX_ERROR_CODES)(
    '%s: a synchronous request ends with its status and the failed task',
    async (code) => {
      const { status, body } = await sandbox.generate(`p [sandbox: fail=${code}]`);
      expect(status).toBe(FLUX_ERRORS[code].status);
      expect(body).toEqual({
        success: false,
        task_id: expect.any(String),
        trace_id: expect.any(String),
        error: { code, message: expect.any(String) },
      });
    },
  );

  test('is accepted first, reported later by the callback and the task, and not billed', async () => {
    const prompt = 'doomed [sandbox: fail=forbidden]';
    const { status, body } = await sandbox.generate(prompt, { callback_url: callbackServer.url });
    expect([status, body]).toEqual([200, { task_id: expect.any(String) }]);
    const callback = await waitFor('the callback', () => callbacksOf(body.task_id)[0]);
    expect(callback).toMatchObject({ success: false, error: { code: 'forbidden' } });
    expect((await sandbox.task(body.task_id)).response).toEqual(callback);
    expect((await sandbox.charges(prompt)).total).toBe(0);
  });
});

describe('delay', () => {
  test('makes a generation take that long', async () => {
    const started = Date.now();
    await sandbox.generate('p [sandbox: delay=120ms]');
    expect(Date.now() - started).toBeGreaterThanOrEqual(110);
  });
});

describe('callback', () => {
  const submit = (fault: string) =>
    sandbox.generate(`called ${fault} [sandbox: callback=${fault}]`, { callback_url: callbackServer.url });

  test('lost: the task finishes and no callback is sent', async () => {
    const { body } = await submit('lost');
    await waitFor('the task to finish', () => finishedAtOf(body.task_id));
    const { body: next } = await sandbox.generate('a later one', { callback_url: callbackServer.url });
    await waitFor('a later callback', () => callbacksOf(next.task_id)[0]);
    expect(callbacksOf(body.task_id)).toEqual([]);
    expect(await sandbox.charges('called lost')).toMatchObject({
      total: 1,
      generations: [{ hasCallback: true }],
    });
  });

  test('twice: the same callback is sent two times for one generation', async () => {
    const { body } = await submit('twice');
    const [first, second] = await waitFor('both', () => {
      const callbacks = callbacksOf(body.task_id);
      return callbacks.length === 2 && callbacks;
    });
    expect(first).toEqual(second);
    expect((await sandbox.charges('called twice')).total).toBe(1);
  });

  test('early: the callback is answered before the submission', async () => {
    const { body } = await submit('early');
    expect(callbacksOf(body.task_id)).toHaveLength(1);
  });

  test('early: the reply waits until the callback is answered', async () => {
    const order: string[] = [];
    const slow = await CallbackServer.start(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      order.push('callback answered');
    });
    await sandbox.generate('p [sandbox: callback=early]', { callback_url: slow.url });
    order.push('reply');
    expect(order).toEqual(['callback answered', 'reply']);
    await slow.stop();
  });

  test('late: the callback is sent three seconds after the task has finished', async () => {
    const { body } = await submit('late');
    const finishedAt = await waitFor('the task to finish', () => finishedAtOf(body.task_id));
    expect(callbacksOf(body.task_id)).toEqual([]);
    await waitFor('the callback', () => callbacksOf(body.task_id)[0]);
    expect(Date.now() / 1000 - finishedAt).toBeGreaterThanOrEqual(2.9);
  });
});

describe('images', () => {
  test('delivers fewer images than requested, never more', async () => {
    expect((await sandbox.generate('p [sandbox: images=3]', { count: 4 })).body.data).toHaveLength(3);
    expect((await sandbox.generate('p [sandbox: images=3]', { count: 2 })).body.data).toHaveLength(2);
    expect((await sandbox.generate('none [sandbox: images=0]')).body.data).toEqual([]);
  });
});

describe('reply', () => {
  test('dropped: the socket is destroyed, and the image is generated and billed', async () => {
    const prompt = 'dropped [sandbox: reply=dropped]';
    await expect(sandbox.generate(prompt)).rejects.toThrow();
    await expect(sandbox.generate(prompt, { async: true })).rejects.toThrow();
    await waitFor('both charges', async () => (await sandbox.charges(prompt)).total === 2);
  });

  test('html: returns 502 with an HTML page, and the image is generated', async () => {
    const { status, headers, text } = await sandbox.generate('page [sandbox: reply=html]', { async: true });
    expect(status).toBe(502);
    expect(headers.get('content-type')).toContain('text/html');
    expect(text).toContain('<h1>502 Bad Gateway</h1>');
    await waitFor('the charge', async () => (await sandbox.charges('page ')).total === 1);
  });

  test('timeout: returns 504, and the image is generated and the callback sent', async () => {
    const fields = { callback_url: callbackServer.url };
    const reply = await sandbox.generate('gateway [sandbox: reply=timeout]', fields);
    expect(reply).toMatchObject({ status: 504, body: { success: false, error: { code: 'timeout' } } });
    const [charge] = await waitFor('the charge', async () => {
      const { generations } = await sandbox.charges('gateway ');
      return generations.length === 1 && generations;
    });
    await waitFor('the callback', () => callbacksOf(charge?.taskId)[0]);
  });
});

describe('image', () => {
  test('404: the link returns 404', async () => {
    const { body } = await sandbox.generate('p [sandbox: image=404]');
    expect((await fetch(body.data?.[0]?.image_url ?? '')).status).toBe(404);
  });

  test('slow: the link responds after two seconds', async () => {
    const { body } = await sandbox.generate('p [sandbox: image=slow]');
    const started = Date.now();
    expect((await fetch(body.data?.[0]?.image_url ?? '')).status).toBe(200);
    expect(Date.now() - started).toBeGreaterThanOrEqual(1_990);
  });
});

describe('hiccup', () => {
  test('shows a temporary failure while the task runs', async () => {
    const prompt = 'p [sandbox: hiccup delay=2s]';
    const { body } = await sandbox.generate(prompt, { async: true });
    expect(await sandbox.task(body.task_id)).toEqual({
      id: body.task_id,
      type: 'images',
      created_at: expect.any(Number),
      started_at: expect.any(Number),
      request: { action: 'generate', prompt, size: '256x256', async: true },
      response: { success: false, error: 'retrying' },
    });
    await waitFor('the task to finish', () => finishedAtOf(body.task_id));
    expect((await sandbox.task(body.task_id)).response?.success).toBe(true);
  });
});
