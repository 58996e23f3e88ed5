import { expect, test } from '@jest/globals';
import { type Caller } from '../../../src/core/access/caller.js';
import { ResultNotReady, TooManyConnections } from '../../../src/core/errors.js';
import { type Task } from '../../../src/core/tasks/task.js';
import { FluxApi, type FluxImageRequest } from '../../../src/services/flux-api/flux-api.js';
import { type HeldRequest } from '../../../src/services/flux-api/held-requests.js';

test.each([new Error('a fault'), new TooManyConnections('too many subscriptions')])(
  'an error of waiting for the result does not suggest that nothing was created: %s',
  async (cause) => {
    const task = { id: 'the task' } as Task;
    const generation = { request: () => Promise.resolve({ task, replayed: false }) };
    const api = new FluxApi({ generation } as unknown as ConstructorParameters<typeof FluxApi>[0]);
    const heldRequest = { waitFor: () => Promise.reject(cause) } as unknown as HeldRequest;
    const reply = api.createAndWait({} as Caller, {} as FluxImageRequest, { traceId: 'trace', heldRequest });
    await expect(reply).rejects.toThrow(ResultNotReady);
    await expect(reply).rejects.toMatchObject({ taskId: 'the task', reason: 'unread', cause });
  },
);
