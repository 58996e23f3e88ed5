import { expect, test } from '@jest/globals';
import {
  deliveriesOf,
  LOOPBACK,
  resultOf,
  SMALL,
  webhookIdOf,
} from '../support/webhooks/received-webhooks.js';
import { Peer, reply } from '../support/net/http-peer.js';
import { typesOf } from '../support/app/test-app.js';
import { waitFor } from '../support/wait-for.js';
import { CrashingService } from '../support/crash/crashing-service.js';

test("A service that is killed between a receiver's answer and its own row posts the same again, and tells it once", async () => {
  const receiver = await Peer.open(reply(200, 'taken'));
  const service = await CrashingService.prepare(LOOPBACK);
  try {
    await service.start('delivery-answered');
    const callbackUrl = `${receiver.url}/hook`;
    const { id } = await service.app.generate({ ...SMALL, prompt: 'posted twice', callbackUrl });
    await waitFor('the first attempt', () => receiver.received.length === 1, { timeoutMs: 90_000 });
    expect(await service.restart()).toBe('SIGKILL');

    const told = async () => typesOf(await service.app.history(id)).filter((type) => /^CALLBACK/.test(type));
    await waitFor('the second attempt', async () => (await told()).length > 0, { timeoutMs: 90_000 });
    expect(await told()).toEqual(['CALLBACK_DELIVERED']);
    expect(receiver.received.map((one) => resultOf(one).task_id)).toEqual([id, id]);
    expect(new Set(receiver.received.map(webhookIdOf)).size).toBe(1);
    // Nobody knows of the first one but the receiver.
    expect((await deliveriesOf(service.app, id)).nodes).toMatchObject([{ attempt: 2, statusCode: 200 }]);
  } finally {
    await service.remove();
    await receiver.close();
  }
}, 240_000);
