import { expect, test } from '@jest/globals';
import { FirstOfEqual } from '../../../src/graphql/limits/first-of-equal.js';
import { waitFor } from '../../support/wait-for.js';

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
