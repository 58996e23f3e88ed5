import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { OutageFixture } from '../../support/app/outage-fixture.js';
import { type TestApp } from '../../support/app/test-app.js';
import { reply, type RequestHandler } from '../../support/net/test-http-server.js';
import { waitFor } from '../../support/wait-for.js';

let outage: OutageFixture;
beforeEach(async () => {
  outage = await OutageFixture.open();
});
afterEach(() => outage.close());

const refusal = (status: number, code: string) =>
  reply(status, { success: false, error: { code, message: 'why' }, trace_id: 'trace' });

/** Requests a task, and cuts the database between its submission and the response to it. */
async function refuseDuringOutage(app: TestApp, response: RequestHandler): Promise<string> {
  const { upstream, proxy } = outage;
  let respond = () => {};
  upstream.onSubmit = (...request) => (respond = () => response(...request));
  const { id } = await app.generate({ prompt: 'refused' });
  await waitFor('the submission', () => upstream.submissions('refused').length === 1);
  await proxy.cut();
  respond();
  return id;
}

test('a refusal that arrives while PostgreSQL is away is applied by the next process, so the task is not UNCONFIRMED', async () => {
  const app = await outage.start();
  const id = await refuseDuringOutage(app, refusal(400, 'bad_request'));
  await waitFor('the file', async () => (await outage.spooledFiles()).length === 1);
  await app.stop();
  await outage.proxy.restore();
  const next = await outage.start(app);
  await expect(next.waitUntilSettled(id)).resolves.toMatchObject({
    status: 'FAILED',
    error: { code: 'UPSTREAM_BAD_REQUEST' },
  });
  expect(await outage.spooledFiles()).toEqual([]);
}, 60_000);

test('a refusal of the account that arrives while PostgreSQL is away puts the task back into the queue', async () => {
  const app = await outage.start();
  const id = await refuseDuringOutage(app, refusal(403, 'used_up'));
  await waitFor('the file', async () => (await outage.spooledFiles()).length === 1);
  await app.stop();
  await outage.proxy.restore();
  outage.upstream.onSubmit = reply(200, { task_id: 'accepted' });
  const next = await outage.start(app);
  await expect(next.waitForEvent(id, 'TASK_SUBMITTED')).resolves.toMatchObject({ data: { attempt: 2 } });
  expect(outage.upstream.submissions('refused')).toHaveLength(2);
}, 60_000);
