import { describe, expect, test } from '@jest/globals';
import { type Answerer, drop, reply } from '../support/net/http-peer.js';
import {
  CALLBACK_URL,
  EDIT,
  GENERATE,
  TASK_ID,
  TOKEN,
  TRACE_ID,
  envelope,
  errorOf,
  open,
  sample,
} from '../support/upstreams/acedata-fixture.js';

describe('what is sent', () => {
  const common = { prompt: GENERATE.prompt, model: 'flux-dev', size: '1024x1024' };

  test('a submit in the mode callback', async () => {
    const { flux, peer, bodies } = await open(reply(200, sample('submit-accepted')));
    await flux.submit(GENERATE);
    expect(peer.received).toMatchObject([
      { method: 'POST', path: '/flux/images', headers: { authorization: `Bearer ${TOKEN}` } },
    ]);
    expect(bodies()).toEqual([{ ...common, action: 'generate', count: 2, callback_url: CALLBACK_URL }]);
  });

  test('a submit in the mode async, with and without a callback URL', async () => {
    const { flux, bodies } = await open(reply(200, sample('submit-accepted-async')), { mode: 'async' });
    await flux.submit(GENERATE);
    await flux.submit({ ...GENERATE, callbackUrl: null });
    const body = { ...common, action: 'generate', count: 2, async: true };
    expect(bodies()).toEqual([{ ...body, callback_url: CALLBACK_URL }, body]);
  });

  test('a submit in the mode wait has neither field', async () => {
    const { flux, bodies } = await open(reply(200, sample('waited-two-images-numeric-timings')), {
      mode: 'wait',
    });
    await flux.submit(GENERATE);
    expect(bodies()).toEqual([{ ...common, action: 'generate', count: 2 }]);
  });

  test('an edit has a picture, no count, and no field that is null', async () => {
    const { flux, bodies } = await open(reply(200, sample('submit-accepted')));
    await flux.submit(EDIT);
    const { prompt, model, sourceImageUrl } = EDIT;
    expect(bodies()).toEqual([
      { action: 'edits', prompt, model, image_url: sourceImageUrl, callback_url: CALLBACK_URL },
    ]);
  });

  test('every submit has a connection of its own', async () => {
    const { flux, peer } = await open(reply(200, sample('submit-accepted')));
    for (let count = 1; count <= 3; count += 1) await flux.submit(GENERATE);
    expect(new Set(peer.received.map((received) => received.connection)).size).toBe(3);
  });

  test('a reading asks for every id once, in one request, and for none in none', async () => {
    const { flux, peer, bodies } = await open(reply(200, sample('tasks-batch')));
    await expect(flux.readTasks([])).resolves.toEqual(new Map());
    await expect(flux.readTasks(['a', 'b', 'a'])).resolves.toEqual(new Map());
    expect(peer.received).toMatchObject([
      { path: '/flux/tasks', headers: { authorization: `Bearer ${TOKEN}` } },
    ]);
    expect(bodies()).toEqual([{ action: 'retrieve_batch', ids: ['a', 'b'] }]);
    const many = Array.from({ length: 51 }, (_, index) => `id-${index}`);
    await expect(flux.readTasks(many)).rejects.toThrow(RangeError);
    await expect(flux.readTasks(many.slice(1))).resolves.toEqual(new Map());
    expect(peer.received).toHaveLength(2);
  });
});

describe('the word for an edit', () => {
  const knows =
    (...words: string[]): Answerer =>
    (response, received) =>
      words.includes((JSON.parse(received.body) as { action: string }).action)
        ? reply(200, sample('submit-accepted'))(response, received)
        : reply(400, envelope('api_not_implemented'))(response, received);
  const wordsOf = (bodies: () => Record<string, unknown>[]) => bodies().map((body) => body['action']);

  test('is "edits" while that works', async () => {
    const { flux, bodies } = await open(knows('edit', 'edits'));
    await flux.submit(EDIT);
    expect(wordsOf(bodies)).toEqual(['edits']);
  });

  test('is "edit" from the first time that only this one works, and changes back the same way', async () => {
    const { flux, bodies, peer } = await open(knows('edit'));
    await flux.submit(EDIT);
    await flux.submit(EDIT);
    expect(wordsOf(bodies)).toEqual(['edits', 'edit', 'edit']);
    peer.answer = knows('edits');
    await flux.submit(EDIT);
    await flux.submit(EDIT);
    expect(wordsOf(bodies).slice(3)).toEqual(['edit', 'edits', 'edits']);
  });

  test('is tried in both forms and no further', async () => {
    const { flux, bodies } = await open(knows());
    expect((await errorOf(flux.submit(EDIT))).failure.upstreamCode).toBe('api_not_implemented');
    expect(wordsOf(bodies)).toEqual(['edits', 'edit']);
  });

  test('is not changed when it is fixed, nor for a generation', async () => {
    const { flux, bodies } = await open(knows(), { editAction: 'edit' });
    await errorOf(flux.submit(EDIT));
    await errorOf(flux.submit(GENERATE));
    expect(wordsOf(bodies)).toEqual(['edit', 'generate']);
  });

  test('is not tried again after any other error', async () => {
    const { flux, bodies, peer } = await open(reply(400, envelope('bad_request')));
    await errorOf(flux.submit(EDIT));
    peer.answer = drop;
    await errorOf(flux.submit(EDIT));
    peer.answer = reply(504, envelope('api_not_implemented'));
    await errorOf(flux.submit(EDIT));
    expect(wordsOf(bodies)).toEqual(['edits', 'edits', 'edits']);
  });
});

describe('what a submit returns', () => {
  test.each([
    ['a bare task id', sample('submit-accepted'), null],
    ['a task id with its trace', sample('submit-accepted-async'), TRACE_ID],
    [
      'an id that is kept for reading although the answer is odd',
      { task_id: TASK_ID, success: false, error: 'hm' },
      null,
    ],
    ['no picture yet', { task_id: TASK_ID, success: true, data: [] }, null],
  ])('accepted: %s', async (_what, body, upstreamTraceId) => {
    const { flux } = await open(reply(200, body));
    await expect(flux.submit(GENERATE)).resolves.toEqual({
      kind: 'accepted',
      upstreamTaskId: TASK_ID,
      upstreamTraceId,
    });
  });

  test('succeeded: a waited answer; a number in "timings" is no duration', async () => {
    const { flux } = await open(reply(200, sample('waited-two-images-numeric-timings')), { mode: 'wait' });
    const link = (path: string) => ({
      url: `https://fal.media/files/${path}`,
      seed: null,
      inferenceSeconds: null,
      reported: { timings: 1_752_743_801 },
    });
    await expect(flux.submit(GENERATE)).resolves.toEqual({
      kind: 'succeeded',
      upstreamTaskId: '226eb763-9eab-4d06-ad57-d59753a03307',
      upstreamTraceId: '089f8b46-0167-4f25-88ee-3c3f88d80e84',
      pictures: [
        link('lion/NVhtlwwGYQD6HrGaEfrzu_341484fad6d84b21b73f4f8824a3f98a.png'),
        link('monkey/8UEQpFbQCYVOK1wKP3aV0_9bbc26fad64049b18d0244b99ef66ad1.png'),
      ],
    });
  });

  test('succeeded: pictures are kept whatever stands beside them', async () => {
    const data = [{ image_url: 'https://a.example/1.png' }];
    const { flux } = await open(reply(200, { ...envelope('api_error'), data }));
    await expect(flux.submit(GENERATE)).resolves.toMatchObject({ kind: 'succeeded', upstreamTaskId: null });
  });
});
