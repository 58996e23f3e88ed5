import { z } from 'zod';
import { FLUX_ERROR_CODES } from '../../core/flux-api/flux-errors.js';

/**
 * Response bodies of the Flux API, as its documentation defines them. Replies have their types, and /openapi.json has the
 * schemas.
 */

const taskIdSchema = z.uuid().meta({
  description: 'Task ID, with which /flux/tasks returns the task.',
  example: '01a20326-f609-77dd-9c6a-14f6d6a02789',
});
const traceIdSchema = z
  .string()
  .meta({ description: 'ID of the request in the log. The header `x-request-id` has the same value.' });

export const imageSchema = z
  .object({
    prompt: z.string().meta({ description: 'Prompt of the task.' }),
    image_url: z.url().meta({ description: 'Signed link to the stored image. It needs no API key.' }),
    seed: z
      .unknown()
      .optional()
      .meta({
        description: 'Seed as the upstream reported it: a number, a text or absent.',
        examples: [1698551532, '281520112'],
      }),
    timings: z
      .unknown()
      .optional()
      .meta({
        description: 'Timings as the upstream reported them: an object with seconds, a number or absent.',
        examples: [{ inference: 3.328 }, 1752743801],
      }),
  })
  .meta({ id: 'Image', description: 'A finished image.' });

const errorSchema = z.object({
  code: z.enum(FLUX_ERROR_CODES).meta({ description: 'Stable code. Programs may compare it.' }),
  message: z.string().meta({ description: 'What is wrong and what to do next.' }),
});

export const resultReply = z
  .object({
    success: z.literal(true),
    task_id: taskIdSchema,
    trace_id: traceIdSchema,
    data: z.array(imageSchema),
  })
  .meta({ id: 'Result', description: 'The images of a finished task, possibly fewer than requested.' });

export const failedReply = z
  .object({ success: z.literal(false), task_id: taskIdSchema, trace_id: traceIdSchema, error: errorSchema })
  .meta({ id: 'FailedResult', description: 'The task has finished without an image.' });

export const acceptedReply = z
  .object({ success: z.literal(true), task_id: taskIdSchema, trace_id: traceIdSchema })
  .meta({ id: 'Accepted', description: 'The task was accepted and is certain to finish.' });

export const pendingReply = z
  .strictObject({})
  .meta({ id: 'Pending', description: 'The task has not finished, so its response is empty.' });

export const errorReply = z
  .object({
    success: z.literal(false),
    task_id: taskIdSchema.optional().meta({ description: 'Task ID, when a task was created.' }),
    error: errorSchema,
    trace_id: traceIdSchema,
  })
  .meta({ id: 'Error', description: 'The request failed.' });

const unixSecondsSchema = z
  .number()
  .meta({ description: 'Unix time in seconds, with a fraction.', example: 1736304669.779 });
export const taskReply = z
  .object({
    id: taskIdSchema,
    type: z.literal('images'),
    created_at: unixSecondsSchema,
    started_at: unixSecondsSchema,
    finished_at: unixSecondsSchema.optional(),
    elapsed: z.number().optional().meta({ description: 'Seconds from `started_at` to `finished_at`.' }),
    trace_id: traceIdSchema,
    request: z
      .object({
        action: z.enum(['generate', 'edit']),
        prompt: z.string(),
        model: z.string(),
        size: z.string().optional(),
        requested_size: z.string().optional().meta({
          description:
            'The size that was sent, when the model does not take it and `size` is the nearest one.',
        }),
        count: z.int().optional(),
        image_url: z.string().optional(),
        callback_url: z.string().optional(),
      })
      .meta({ description: 'The request, with defaults filled in.' }),
    response: z.union([resultReply, failedReply, pendingReply]),
  })
  .meta({
    id: 'Task',
    description: 'A task. It has no status field: a task with `finished_at` has finished.',
  });

export const unknownTaskReply = z
  .strictObject({})
  .meta({ id: 'UnknownTask', description: 'No task with this ID is visible to the API key.' });

export const tasksReply = z
  .object({
    items: z.array(taskReply),
    count: z.int().meta({
      description: 'Number of `items`. Without `ids`, the number of all matching tasks, up to 1,000.',
    }),
  })
  .meta({
    id: 'Tasks',
    description:
      'The visible tasks, in the requested order. Unknown IDs are left out. Without `ids`, the newest come first.',
  });
