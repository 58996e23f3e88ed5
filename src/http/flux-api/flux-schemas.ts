import { z } from 'zod';
import { DEFAULT_MODEL, FLUX_MODELS } from '../../core/tasks/models.js';

/**
 * Request bodies of the Flux API, as its documentation defines them. Requests are validated against
 * these schemas, and /openapi.json is generated from them. Only types are checked here. What a model accepts is
 * checked by services/tasks/request-validation.ts, as for every transport.
 */

/** The hosted API's limit. */
export const MAX_BATCH_SIZE = 50;
/** Unix seconds of the year 9999. Milliseconds by mistake are far beyond it. */
const MAX_UNIX_SECONDS = 253_402_300_799;

const EXAMPLE_ID = '01a20326-f609-77dd-9c6a-14f6d6a02789';
const EXAMPLE_PROMPT = 'a white siamese cat';

const stringField = (expected = 'a string') => z.string({ error: `must be ${expected}` });
const promptSchema = stringField().meta({
  description: 'Text prompt, up to 4,000 characters.',
  example: EXAMPLE_PROMPT,
});
const optionalFields = {
  model: stringField()
    .nullish()
    .meta({
      description: `Model to use, one of ${FLUX_MODELS.map(({ name }) => `\`${name}\``).join(', ')}. Default: \`${DEFAULT_MODEL.GENERATE}\`, or \`${DEFAULT_MODEL.EDIT}\` for an edit.`,
      example: 'flux-kontext-pro',
    }),
  size: stringField().nullish().meta({
    description:
      'Image size: pixels such as `1024x1024` or an aspect ratio such as `16:9`. A size that the model does not take becomes the nearest one, and `/flux/tasks` shows both.',
    example: '16:9',
  }),
  callback_url: stringField('an http or https URL').nullish().meta({
    description:
      'Webhook URL. The response comes at once, and the result is posted to this URL when the task has finished.',
  }),
  async: z.boolean({ error: 'must be true or false' }).nullish().meta({
    description: 'When true, the response comes at once. Read the result from /flux/tasks. Default: false.',
  }),
};
const countSchema = z.number({ error: 'must be a number' }).nullish();

const generateBody = z
  .object({
    action: z.literal('generate').default('generate'),
    prompt: promptSchema,
    count: countSchema.meta({ description: 'Number of images, 1 to 4. Default: 1.', example: 2 }),
    image_url: stringField().nullish().meta({ description: 'Ignored when generating.' }),
    ...optionalFields,
  })
  .meta({
    id: 'Generate',
    description:
      'Generates images from a text prompt. Any other field is stored in the metadata of the task.',
  });

const editBody = z
  .object({
    action: z.enum(['edit', 'edits']).meta({ description: 'Both values mean the same.' }),
    prompt: promptSchema,
    image_url: stringField('the URL of the image to edit').meta({
      description:
        'Direct link to the image to edit. A link to an image in Darkroom refers to the stored image.',
      example: 'https://cdn.acedata.cloud/ytj2qy.png',
    }),
    count: countSchema.meta({ description: 'Ignored: an edit makes one image.' }),
    ...optionalFields,
  })
  .meta({
    id: 'Edit',
    description:
      'Edits an image as a text prompt describes. Any other field is stored in the metadata of the task.',
  });

/** The provider's guide says `edits`, and its newer specification `edit`. */
export const IMAGES_ACTIONS = ['generate', 'edit', 'edits'] as const;
export const imagesBody = z
  .discriminatedUnion('action', [generateBody, editBody])
  .meta({ id: 'ImagesRequest' });
/** Names of the fields that `/flux/images` defines. */
export const IMAGES_FIELDS: readonly string[] = Object.keys({ ...generateBody.shape, ...editBody.shape });

const retrieveBody = z
  .object({
    action: z.literal('retrieve').default('retrieve'),
    id: stringField('a task ID').meta({ description: 'Task ID.', example: EXAMPLE_ID }),
  })
  .meta({ id: 'Retrieve', description: 'Reads one task.' });

const unixSeconds = () =>
  z
    .number({ error: 'must be a Unix time in seconds' })
    .min(0)
    .max(MAX_UNIX_SECONDS, 'must be a Unix time in seconds');
const wholeNumber = () => z.int({ error: 'must be a whole number' }).min(0, 'must be at least 0');
const retrieveBatchBody = z
  .object({
    action: z.literal('retrieve_batch'),
    ids: z
      .array(stringField('a task ID'), { error: 'must be a list of task IDs' })
      .max(MAX_BATCH_SIZE, `must have at most ${MAX_BATCH_SIZE} IDs`)
      .optional()
      .meta({
        description: `Task IDs, at most ${MAX_BATCH_SIZE}. Without \`ids\`, the newest tasks are returned.`,
        example: [EXAMPLE_ID],
      }),
    created_at_min: unixSeconds()
      .optional()
      .meta({ description: 'Without `ids`: only tasks created at this Unix time or later.' }),
    created_at_max: unixSeconds()
      .optional()
      .meta({ description: 'Without `ids`: only tasks created at this Unix time or earlier.' }),
    offset: wholeNumber()
      .optional()
      .meta({ description: 'Without `ids`: number of newest tasks to skip. Default: 0.' }),
    limit: wholeNumber()
      .optional()
      .meta({
        description: `Without \`ids\`: maximum number of tasks, up to ${MAX_BATCH_SIZE}, which is also the default.`,
      }),
    type: stringField()
      .optional()
      .meta({ description: 'Without `ids`: type of the tasks. All are `images`.' }),
  })
  .meta({
    id: 'RetrieveBatch',
    description: 'Reads several tasks: those with the given IDs, or the newest.',
  });

export const TASKS_ACTIONS = ['retrieve', 'retrieve_batch'] as const;
export const tasksBody = z
  .discriminatedUnion('action', [retrieveBody, retrieveBatchBody])
  .meta({ id: 'TasksRequest' });
