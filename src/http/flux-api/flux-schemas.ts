import { z } from 'zod';
import { API_ERROR_CODES } from '../../core/flux-api/flux-error.js';
import { FLUX_MODELS } from '../../core/tasks/models.js';

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

const taskId = z.uuid().meta({ description: 'The task: read it from /flux/tasks.', example: EXAMPLE_ID });
const traceId = z
  .string()
  .meta({ description: 'The request, as the log has it; the same as the header x-request-id.' });

const picture = z
  .object({
    prompt: z.string(),
    image_url: z.url().meta({ description: 'Ours, and it lasts. It needs no key.' }),
    seed: z
      .unknown()
      .optional()
      .meta({
        description: 'As the upstream gave it: a number, a text, or absent.',
        examples: [1698551532, '281520112'],
      }),
    timings: z
      .unknown()
      .optional()
      .meta({
        description: 'As the upstream gave it: seconds of the work, a number, or absent.',
        examples: [{ inference: 3.328 }, 1752743801],
      }),
  })
  .meta({ id: 'Picture' });

const error = z.object({
  code: z.enum(API_ERROR_CODES).meta({ description: 'What a program may compare.' }),
  message: z.string().meta({ description: 'What happened and what to do next.' }),
});

export const resultReply = z
  .object({ success: z.literal(true), task_id: taskId, trace_id: traceId, data: z.array(picture) })
  .meta({ id: 'Result', description: 'The pictures: perhaps fewer than were asked for.' });

export const failedReply = z
  .object({ success: z.literal(false), task_id: taskId, trace_id: traceId, error })
  .meta({ id: 'FailedResult', description: 'The task has ended without a picture.' });

export const acceptedReply = z
  .object({ success: z.literal(true), task_id: taskId, trace_id: traceId })
  .meta({ id: 'Accepted', description: 'The task was taken, and will reach an end.' });

export const errorReply = z
  .object({
    success: z.literal(false),
    task_id: taskId.optional().meta({ description: 'Where a task was taken.' }),
    error,
    trace_id: traceId,
  })
  .meta({ id: 'Error' });

const seconds = z.number().meta({ description: 'Unix seconds, with a fraction.', example: 1736304669.779 });
export const taskReply = z
  .object({
    id: taskId,
    type: z.literal('images'),
    created_at: seconds,
    started_at: seconds,
    finished_at: seconds.optional(),
    elapsed: z.number().optional().meta({ description: 'Seconds.' }),
    trace_id: traceId,
    request: z
      .object({
        action: z.enum(['generate', 'edit']),
        prompt: z.string(),
        model: z.string(),
        size: z.string().optional(),
        count: z.int().optional(),
        image_url: z.string().optional(),
        callback_url: z.string().optional(),
      })
      .meta({ description: 'What was asked for, defaults filled in.' }),
    response: z.union([resultReply, failedReply]).optional(),
  })
  .meta({ id: 'Task', description: 'There is no status: a task is over when it has `finished_at`.' });

export const unknownTaskReply = z
  .strictObject({})
  .meta({ id: 'UnknownTask', description: 'There is no task with this id that the key may see.' });

export const tasksReply = z
  .object({ items: z.array(taskReply), count: z.int() })
  .meta({ id: 'Tasks', description: 'Those that there are, in the order asked for.' });
