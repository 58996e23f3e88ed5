import { expect, test } from '@jest/globals';
import { FirstOfEqual, MAX_FOLLOWERS } from '../../../src/graphql/limits/first-of-equal.js';
import { waitFor } from '../../support/wait-for.js';

// Enforces MAX_FOLLOWERS_PER_WORKSPACE in src/graphql/limits/first-of-equal.ts.
test('requests that follow an equal one of one workspace leave room for those of others', async () => {
  const equal = new FirstOfEqual();
  let end = (): void => undefined;
  const work = equal.work('key', () => new Promise<void>((resolve) => (end = resolve)));
  let hostile = 0;
  let honest = 0;
  const follow = (workspaceId: string, onEnd: () => void) =>
    void equal.follow('key', workspaceId).then(onEnd);
  for (let n = 0; n < 200; n += 1) follow('hostile', () => (hostile += 1));
  follow('honest', () => (honest += 1));
  await waitFor('some not to be let in', () => hostile > 0);
  expect(honest).toBe(0);
  end();
  await work;
  await waitFor('all to go on', () => hostile === 200 && honest === 1);
});

// Enforces MAX_FOLLOWERS in src/graphql/limits/first-of-equal.ts.
test('requests of many workspaces that follow equal ones are bounded together', async () => {
  const equal = new FirstOfEqual();
  let end = (): void => undefined;
  const work = equal.work('key', () => new Promise<void>((resolve) => (end = resolve)));
  let ended = 0;
  const count = 2 * MAX_FOLLOWERS;
  for (let n = 0; n < count; n += 1) void equal.follow('key', `workspace ${n % 10}`).then(() => (ended += 1));
  await waitFor('some not to be let in', () => ended > 0);
  expect(ended).toBe(count - MAX_FOLLOWERS);
  end();
  await work;
  await waitFor('all to go on', () => ended === count);
});
