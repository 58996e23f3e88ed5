import { describe, expect, test } from '@jest/globals';
import { FLUX_MODELS, DEFAULT_MODEL, findModel } from '../../../src/core/tasks/models.js';
import { isFinal, statusesBefore, TASK_STATUSES, TRANSITIONS } from '../../../src/core/tasks/task.js';

describe('the life of a task', () => {
  const finalStatuses = TASK_STATUSES.filter(isFinal);

  test('has four final statuses that never change', () => {
    expect(finalStatuses).toEqual(['SUCCEEDED', 'FAILED', 'CANCELED', 'EXPIRED']);
    for (const status of finalStatuses) expect(TRANSITIONS[status]).toEqual([]);
  });

  test('can reach every final status from every other one, because a callback or a deadline can come at any moment', () => {
    const activeStatuses = TASK_STATUSES.filter((status) => !isFinal(status));
    for (const status of finalStatuses) expect(statusesBefore(status)).toEqual(activeStatuses);
  });

  test('is submitted only from QUEUED and returns there only from the statuses of a submission', () => {
    expect(statusesBefore('SUBMITTING')).toEqual(['QUEUED']);
    expect(statusesBefore('QUEUED')).toEqual(['SUBMITTING', 'UNCONFIRMED']);
    expect(statusesBefore('UNCONFIRMED')).toEqual(['SUBMITTING']);
    expect(statusesBefore('RUNNING')).toEqual(['SUBMITTING', 'UNCONFIRMED']);
  });
});

describe('the list of models', () => {
  test('has unique names, and each model takes either pixels or aspect ratios', () => {
    expect(new Set(FLUX_MODELS.map((model) => model.name)).size).toBe(FLUX_MODELS.length);
    for (const model of FLUX_MODELS) expect(model.pixelSizes === null).toBe(model.aspectRatios.length > 0);
  });

  test('has defaults that can do what they are used for', () => {
    expect(findModel(DEFAULT_MODEL.GENERATE)?.canGenerate).toBe(true);
    expect(findModel(DEFAULT_MODEL.EDIT)?.canEdit).toBe(true);
    expect(findModel('__proto__')).toBeUndefined();
  });
});
