import { describe, expect, test } from '@jest/globals';
import { FLUX_MODELS, DEFAULT_MODEL, findModel } from '../../../src/core/tasks/models.js';
import { isEnd, statesBefore, TASK_STATUSES, TRANSITIONS } from '../../../src/core/tasks/task.js';

describe('the life of a task', () => {
  const ends = TASK_STATUSES.filter(isEnd);

  test('has four ends, and no way out of them', () => {
    expect(ends).toEqual(['SUCCEEDED', 'FAILED', 'CANCELED', 'EXPIRED']);
    for (const end of ends) expect(TRANSITIONS[end]).toEqual([]);
  });

  test('reaches every end from every other state: a callback or a deadline can come at any moment', () => {
    const open = TASK_STATUSES.filter((status) => !isEnd(status));
    for (const end of ends) expect(statesBefore(end)).toEqual(open);
  });

  test('is sent only from QUEUED, and goes back there only from SUBMITTING: what is unconfirmed is never sent again', () => {
    expect(statesBefore('SUBMITTING')).toEqual(['QUEUED']);
    expect(statesBefore('QUEUED')).toEqual(['SUBMITTING']);
    expect(statesBefore('UNCONFIRMED')).toEqual(['SUBMITTING']);
    expect(statesBefore('RUNNING')).toEqual(['SUBMITTING', 'UNCONFIRMED']);
  });
});

describe('the models', () => {
  test('have names of their own, and take pixels or ratios', () => {
    expect(new Set(FLUX_MODELS.map((model) => model.name)).size).toBe(FLUX_MODELS.length);
    for (const model of FLUX_MODELS) expect(model.pixels === null).toBe(model.ratios.length > 0);
  });

  test('that are used by default can do what they are used for', () => {
    expect(findModel(DEFAULT_MODEL.GENERATE)?.canGenerate).toBe(true);
    expect(findModel(DEFAULT_MODEL.EDIT)?.canEdit).toBe(true);
    expect(findModel('__proto__')).toBeUndefined();
  });
});
