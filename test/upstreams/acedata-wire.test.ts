import { describe, expect, test } from '@jest/globals';
import { parseTasks } from '../../src/upstreams/acedata-wire.js';

describe('a response to reading tasks', () => {
  test('is a list, one task, or nothing for an unknown ID', () => {
    const idsOf = (value: unknown) => parseTasks(value)?.map((task) => task.task_id);
    expect(idsOf({ items: [{ id: 'a' }, { response: { task_id: 'b' } }, 'not a task'] })).toEqual(['a', 'b']);
    expect(idsOf({ id: 'a', response: {} })).toEqual(['a']);
    expect(idsOf({})).toEqual([]);
  });

  test.each<[string, unknown]>([
    ['an error', { success: false, error: { code: 'api_error' }, trace_id: 't' }],
    [
      'an error that wraps the reply of a task',
      { success: false, response: { task_id: 'a', success: false } },
    ],
    ['a task without an ID', { response: { task_id: 'a' } }],
    ['a list', [{ id: 'a' }]],
    ['a text', 'a'],
    ['nothing', null],
  ])('is not mistaken for "no such task" when it is %s', (_case, value) => {
    expect(parseTasks(value)).toBeNull();
  });
});
