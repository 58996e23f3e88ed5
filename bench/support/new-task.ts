import { createHash } from 'node:crypto';
import { newId } from '../../src/core/primitives/ids.js';
import { type NewTask } from '../../src/db/tasks/task-repository.js';

export const PROMPT =
  'a white siamese cat on a windowsill, late afternoon light, 35 mm, shallow depth of field';
const INPUT_HASH = createHash('sha256').update(PROMPT).digest();

/** What a frontend asks for: the task to show in its list, the cursor to watch it from, and what it must mend. */
export const GENERATE = `mutation Generate($input: GenerateImagesInput!) {
  generateImages(input: $input) {
    task { id status prompt model createdAt cursor }
    replayed
    userErrors { code message field }
  }
}`;

export interface Generated {
  generateImages: { task: { id: string } | null; userErrors: { message: string }[] };
}

/** Value for value what the service writes for that mutation. */
export function newTask(workspaceId: string): NewTask {
  return {
    id: newId(),
    workspaceId,
    kind: 'GENERATE',
    prompt: PROMPT,
    model: 'flux-dev',
    size: '1024x1024',
    requestedCount: 1,
    sourceImageId: null,
    sourceImageUrl: null,
    idempotencyKey: null,
    inputHash: INPUT_HASH,
    metadata: null,
    timeoutSeconds: 600,
    retryOfId: null,
    callbackUrl: null,
    traceId: null,
    keyId: newId(),
    endUserId: null,
    priority: 'NORMAL',
    unitPrice: null,
    currency: null,
  };
}
