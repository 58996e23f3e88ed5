import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { SubmissionPaceRepository } from '../../../src/db/tasks/submission-pace-repository.js';
import { type EventLog } from '../../../src/event-log/event-log.js';
import { BackPressure } from '../../../src/services/tasks/back-pressure.js';
import { Results } from '../../../src/services/tasks/results.js';
import { LedgerFixture } from '../../support/billing/ledger-fixture.js';

const log = pino({ level: 'silent' });
let world: LedgerFixture;
let results: Results;
beforeAll(async () => {
  world = await LedgerFixture.open();
  const eventLog = { requestSeal: () => undefined } as EventLog;
  const backPressure = new BackPressure({ submissionPace: new SubmissionPaceRepository(world.db), log });
  results = new Results({ tasks: world.tasks, eventLog, backPressure, log });
});
afterAll(async () => world.close());

/** Applies a result with these images, and returns the verdict. */
function report(id: string, ...names: string[]) {
  const images = names.map((name) => ({
    ...{ upstreamUrl: `https://x.example/${name}.png`, seed: null, inferenceSeconds: null },
    upstreamMetadata: { seed: undefined, timings: undefined },
  }));
  const ids = { upstreamTaskId: null, upstreamTraceId: null };
  return results.apply(id, { kind: 'succeeded', images, ...ids }, { actor: 'test' });
}

test.each(['EXPIRED', 'SUCCEEDED'])(
  'a result with the other image of a task that is %s is LATE, and DUPLICATE when it arrives again',
  async (status) => {
    const id = await world.requestOrThrow(2);
    await world.send(id);
    if (status === 'EXPIRED') await world.expire(id);
    await expect(report(id, 'a')).resolves.toBe(status === 'EXPIRED' ? 'LATE' : 'APPLIED');
    await expect(report(id, 'b')).resolves.toBe('LATE');
    await expect(report(id, 'b')).resolves.toBe('DUPLICATE');
    await expect(report(id, 'b', 'a')).resolves.toBe('DUPLICATE');
    expect(await world.tasks.find(id)).toMatchObject({ status, finalCost: '0.2' });
    expect(await world.countDrift()).toBe(0);
  },
);

test('a result of a complete task is DUPLICATE', async () => {
  const id = await world.requestOrThrow(1);
  await world.send(id);
  await report(id, 'a');
  await expect(report(id, 'b')).resolves.toBe('DUPLICATE');
  expect(await world.tasks.find(id)).toMatchObject({ deliveredCount: 1, finalCost: '0.1' });
});
