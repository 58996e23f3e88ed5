import { z } from 'zod';
import { FLUX_MODELS } from '../core/models.js';

/**
 * The bodies of the Flux API, as its documentation has them: what a request is checked against, and what /openapi.json
 * says. Only types are checked here; what a model takes is checked where every door's requests are.
 */

/** The upstream's own limit. */
export const MAX_BATCH = 50;

const EXAMPLE_ID = '01a20326-f609-77dd-9c6a-14f6d6a02789';
const EXAMPLE_PROMPT = 'a white siamese cat';

const text = (what = 'a text') => z.string({ error: `must be ${what}` });
const prompt = text().meta({ description: 'What to make, up to 4,000 characters.', example: EXAMPLE_PROMPT });
const optional = {
  model: text()
    .nullish()
    .meta({
      description: `\`flux-dev\`, and for an edit \`flux-kontext-pro\`, when absent. One of: ${FLUX_MODELS.map(({ name }) => name).join(', ')}.`,
      example: 'flux-kontext-pro',
    }),
  size: text().nullish().meta({
    description: 'By model: pixels such as `1024x1024`, or a ratio such as `16:9`.',
    example: '16:9',
  }),
  callback_url: text('an http or https URL')
    .nullish()
    .meta({ description: 'Answer at once, and post the result there when it is there.' }),
  async: z
    .boolean({ error: 'must be true or false' })
    .nullish()
    .meta({ description: 'Answer at once; the result is read from /flux/tasks.' }),
};
const count = z.number({ error: 'must be a number' }).nullish();

const generateBody = z
  .object({
    action: z.literal('generate'),
    prompt,
    count: count.meta({ description: 'How many pictures, 1 to 4; 1 when absent.', example: 2 }),
    image_url: text().nullish().meta({ description: 'Not used.' }),
    ...optional,
  })
  .meta({
    id: 'Generate',
    description: 'Pictures from words. Any other field is kept as the metadata of the task.',
  });

const editBody = z
  .object({
    action: z.enum(['edit', 'edits']).meta({ description: 'Both words mean the same.' }),
    prompt,
    image_url: text('the URL of the picture to edit').meta({
      description: 'A direct link to the picture; a link that came from here is edited from the stored one.',
      example: 'https://cdn.acedata.cloud/ytj2qy.png',
    }),
    count: count.meta({ description: 'Not used: an edit makes one picture.' }),
    ...optional,
  })
  .meta({
    id: 'Edit',
    description: 'A picture, changed. Any other field is kept as the metadata of the task.',
  });

/** `edits` is the guide's word, `edit` the newer specification's. */
export const IMAGES_ACTIONS = ['generate', 'edit', 'edits'] as const;
export const imagesBody = z
  .discriminatedUnion('action', [generateBody, editBody])
  .meta({ id: 'ImagesRequest' });
/** The fields of `/flux/images`. */
export const IMAGES_FIELDS: readonly string[] = Object.keys({ ...generateBody.shape, ...editBody.shape });

const retrieveBody = z
  .object({ action: z.literal('retrieve'), id: text('a task id').meta({ example: EXAMPLE_ID }) })
  .meta({ id: 'Retrieve', description: 'One task.' });

const retrieveBatchBody = z
  .object({
    action: z.literal('retrieve_batch'),
    ids: z
      .array(text('task ids'), { error: 'must be a list of task ids' })
      .max(MAX_BATCH, `must be at most ${MAX_BATCH} ids`)
      .meta({ example: [EXAMPLE_ID] }),
  })
  .meta({ id: 'RetrieveBatch', description: 'Several tasks.' });

export const TASKS_ACTIONS = ['retrieve', 'retrieve_batch'] as const;
export const tasksBody = z
  .discriminatedUnion('action', [retrieveBody, retrieveBatchBody])
  .meta({ id: 'TasksRequest' });
