import { createHash } from 'node:crypto';
import { newId } from '../../src/core/primitives/ids.js';
import { type NewTask } from '../../src/db/tasks/task-row.js';

export const PROMPT =
  'a white siamese cat on a windowsill, late afternoon light, 35 mm, shallow depth of field';
const INPUT_HASH = createHash('sha256').update(PROMPT).digest();

/** Requests what a frontend needs: the task for its list, the cursor to subscribe from, and the user errors. */
export const GENERATE_MUTATION = `mutation Generate($input: GenerateImagesInput!) {
  generateImages(input: $input) {
    task { id status prompt model createdAt eventCursor }
    replayed
    userErrors { code message field }
  }
}`;

export interface GenerateImagesResult {
  generateImages: { task: { id: string } | null; userErrors: { message: string }[] };
}

/** Exactly the values that the service writes for this mutation. */
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
    webhookUrl: null,
    traceId: null,
    keyId: newId(),
    keyLineageId: newId(),
    endUserId: null,
    priority: 'NORMAL',
    unitPrice: null,
    currency: null,
  };
}
