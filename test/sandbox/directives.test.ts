import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readDirectives } from '../../src/sandbox/directives.js';
import { API_ERRORS, API_ERROR_CODES } from '../../src/core/flux-api/flux-error.js';
import { waitFor } from '../support/wait-for.js';
import { CallbackReceiver, SandboxUnderTest } from '../support/upstreams/sandbox-under-test.js';

let sandbox: SandboxUnderTest;
let receiver: CallbackReceiver;
beforeAll(async () => {
  sandbox = await SandboxUnderTest.start();
  receiver = await CallbackReceiver.start();
});
afterAll(async () => {
  await sandbox.stop();
  await receiver.stop();
});

function callbacksOf(taskId: string | undefined) {
  return receiver.received.filter((body) => body.task_id === taskId);
}
const isOver = async (taskId: string | undefined) => (await sandbox.task(taskId)).finished_at;

describe('reading directives', () => {
  it('reads several options from one bracket and from several, and takes them out of the caption', () => {
    expect(readDirectives('a cat [sandbox: delay=2s images=1] on a [sandbox:hiccup] mat')).toEqual({
      caption: 'a cat on a mat',
      directives: { delayMs: 2000, images: 1, hiccup: true },
    });
  });

  it('leaves other brackets alone', () => {
    expect(readDirectives('a [very] nice cat')).toEqual({ caption: 'a [very] nice cat', directives: {} });
  });

  it.each([
    'delay=5',
    'delay=601s',
    'error=no',
    'times=2',
    'times=0 error=bare',
    'images=5',
    'hiccup=1',
    'x=1',
  ])('refuses %s and lists what exists', (option) => {
    const read = () => readDirectives(`p [sandbox: ${option}]`);
    for (const name of [
      'delay=',
      'error=',
      'times=',
      'fail=',
      'callback=',
      'images=',
      'reply=',
      'picture=',
      'hiccup',
    ]) {
      expect(read).toThrow(name);
    }
  });
});

describe('error', () => {
  it.each(API_ERROR_CODES)('%s: refuses with its status and envelope and makes nothing', async (code) => {
    const prompt = `refused by ${code} [sandbox: error=${code}]`;
    const reply = await sandbox.generate(prompt);
    expect(reply.status).toBe(API_ERRORS[code].status);
    expect(reply.body).toEqual({
      success: false,
      error: { code, message: expect.any(String) },
      trace_id: expect.any(String),
    });
    expect(reply.headers.get('retry-after')).toBe(code === 'too_many_requests' ? '1' : null);
    expect((await sandbox.ledger(prompt)).total).toBe(0);
  });

  it('bare: answers 500 with a plain string for an error', async () => {
    const { status, body } = await sandbox.generate('p [sandbox: error=bare]');
    expect([status, body]).toEqual([500, { error: 'upstream unavailable' }]);
  });

  it('with times: refuses that many submissions of this very prompt, then accepts', async () => {
    const prompt = 'third time lucky [sandbox: error=too_many_requests times=2]';
    const statuses: number[] = [];
    for (let attempt = 0; attempt < 4; attempt += 1) statuses.push((await sandbox.generate(prompt)).status);
    expect(statuses).toEqual([429, 429, 200, 200]);
    expect((await sandbox.generate(`another ${prompt}`)).status).toBe(429);
    expect((await sandbox.ledger(prompt)).total).toBe(2);
  });
});

describe('fail', () => {
  it.each(API_ERROR_CODES)('%s: a held connection ends with its status and the failed task', async (code) => {
    const { status, body } = await sandbox.generate(`p [sandbox: fail=${code}]`);
    expect(status).toBe(API_ERRORS[code].status);
    expect(body).toEqual({
      success: false,
      task_id: expect.any(String),
      trace_id: expect.any(String),
      error: { code, message: expect.any(String) },
    });
  });

  it('is accepted first and told by the callback and the task later, and is not billed', async () => {
    const prompt = 'doomed [sandbox: fail=forbidden]';
    const { status, body } = await sandbox.generate(prompt, { callback_url: receiver.url });
    expect([status, body]).toEqual([200, { task_id: expect.any(String) }]);
    const callback = await waitFor('the callback', () => callbacksOf(body.task_id)[0]);
    expect(callback).toMatchObject({ success: false, error: { code: 'forbidden' } });
    expect((await sandbox.task(body.task_id)).response).toEqual(callback);
    expect((await sandbox.ledger(prompt)).total).toBe(0);
  });
});

describe('delay', () => {
  it('makes a picture take that long', async () => {
    const started = Date.now();
    await sandbox.generate('p [sandbox: delay=120ms]');
    expect(Date.now() - started).toBeGreaterThanOrEqual(110);
  });
});

describe('callback', () => {
  const submit = (fault: string) =>
    sandbox.generate(`called ${fault} [sandbox: callback=${fault}]`, { callback_url: receiver.url });

  it('lost: the task is over and no callback comes', async () => {
    const { body } = await submit('lost');
    await waitFor('the end', () => isOver(body.task_id));
    const { body: next } = await sandbox.generate('a later one', { callback_url: receiver.url });
    await waitFor('a later callback', () => callbacksOf(next.task_id)[0]);
    expect(callbacksOf(body.task_id)).toEqual([]);
    expect(await sandbox.ledger('called lost')).toMatchObject({
      total: 1,
      generations: [{ callbackUrl: true }],
    });
  });

  it('twice: the same callback comes two times, for one generation', async () => {
    const { body } = await submit('twice');
    const [first, second] = await waitFor('both', () => {
      const callbacks = callbacksOf(body.task_id);
      return callbacks.length === 2 && callbacks;
    });
    expect(first).toEqual(second);
    expect((await sandbox.ledger('called twice')).total).toBe(1);
  });

  it('early: the callback was answered before the submission is', async () => {
    const { body } = await submit('early');
    expect(callbacksOf(body.task_id)).toHaveLength(1);
  });

  it('early: the reply waits for as long as the callback is not answered', async () => {
    const order: string[] = [];
    const slow = await CallbackReceiver.start(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      order.push('callback answered');
    });
    await sandbox.generate('p [sandbox: callback=early]', { callback_url: slow.url });
    order.push('reply');
    expect(order).toEqual(['callback answered', 'reply']);
    await slow.stop();
  });

  it('late: the callback comes three seconds after the task could be read as over', async () => {
    const { body } = await submit('late');
    const finishedAt = await waitFor('the end', () => isOver(body.task_id));
    expect(callbacksOf(body.task_id)).toEqual([]);
    await waitFor('the callback', () => callbacksOf(body.task_id)[0]);
    expect(Date.now() / 1000 - finishedAt).toBeGreaterThanOrEqual(2.9);
  });
});

describe('images', () => {
  it('delivers fewer pictures than were asked for, never more', async () => {
    expect((await sandbox.generate('p [sandbox: images=3]', { count: 4 })).body.data).toHaveLength(3);
    expect((await sandbox.generate('p [sandbox: images=3]', { count: 2 })).body.data).toHaveLength(2);
    expect((await sandbox.generate('none [sandbox: images=0]')).body.data).toEqual([]);
  });
});

describe('reply', () => {
  it('dropped: the socket is destroyed, and the picture is made and billed', async () => {
    const prompt = 'dropped [sandbox: reply=dropped]';
    await expect(sandbox.generate(prompt)).rejects.toThrow();
    await expect(sandbox.generate(prompt, { async: true })).rejects.toThrow();
    await waitFor('both in the ledger', async () => (await sandbox.ledger(prompt)).total === 2);
  });

  it('html: answers 502 with a page, and the picture is made', async () => {
    const { status, headers, text } = await sandbox.generate('page [sandbox: reply=html]', { async: true });
    expect(status).toBe(502);
    expect(headers.get('content-type')).toContain('text/html');
    expect(text).toContain('<h1>502 Bad Gateway</h1>');
    await waitFor('it in the ledger', async () => (await sandbox.ledger('page ')).total === 1);
  });

  it('timeout: answers 504, and the picture is made and called back', async () => {
    const fields = { callback_url: receiver.url };
    const reply = await sandbox.generate('gateway [sandbox: reply=timeout]', fields);
    expect(reply).toMatchObject({ status: 504, body: { success: false, error: { code: 'timeout' } } });
    const [made] = await waitFor('it in the ledger', async () => {
      const { generations } = await sandbox.ledger('gateway ');
      return generations.length === 1 && generations;
    });
    await waitFor('the callback', () => callbacksOf(made?.taskId)[0]);
  });
});

describe('picture', () => {
  it('404: the link answers 404', async () => {
    const { body } = await sandbox.generate('p [sandbox: picture=404]');
    expect((await fetch(body.data?.[0]?.image_url ?? '')).status).toBe(404);
  });

  it('slow: the link takes two seconds', async () => {
    const { body } = await sandbox.generate('p [sandbox: picture=slow]');
    const started = Date.now();
    expect((await fetch(body.data?.[0]?.image_url ?? '')).status).toBe(200);
    expect(Date.now() - started).toBeGreaterThanOrEqual(1_990);
  });
});

describe('hiccup', () => {
  it('shows a failure that is not the end while the task runs', async () => {
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
    await waitFor('the end', () => isOver(body.task_id));
    expect((await sandbox.task(body.task_id)).response?.success).toBe(true);
  });
});
