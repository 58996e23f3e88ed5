import { GraphQLDateTime } from 'graphql-scalars';
import { ID } from 'type-graphql';
import { type CancelOutcome } from '../../core/tasks/task.js';
import { type TaskFilter } from '../../services/tasks/task-reads.js';
import { createPayloadType, onSuccess } from '../relay/payload.type.js';
import { createEnumType, createInputType, field, nullable } from '../server/schema-types.js';
import { TaskKindEnum, TaskStatusEnum, TaskType } from './task.type.js';

export const TaskFilterInput = createInputType<TaskFilter>(
  'TaskFilter',
  'Conditions on tasks. A task must meet all of them.',
  {
    statuses: nullable([TaskStatusEnum], 'Tasks with one of these statuses. Empty or omitted: any.'),
    kinds: nullable([TaskKindEnum], 'Tasks of one of these kinds. Empty or omitted: any.'),
    models: nullable([String], 'Tasks with one of these models, by name. Empty or omitted: any.'),
    createdAfter: nullable(GraphQLDateTime, 'Tasks created at or after this time.'),
    createdBefore: nullable(GraphQLDateTime, 'Tasks created before this time.'),
    search: nullable(
      String,
      'Words that the prompt must contain, in any language. Case, width and accents do not matter, and a word also finds longer ' +
        'words that begin with it. "Quoted phrases", `or` and `-excluded` work as in a web search, with whole words. At most 500 ' +
        'characters.',
    ),
  },
);

const CancelOutcomeEnum = createEnumType<CancelOutcome>('CancelOutcome', 'Effect of canceling a task.', {
  NOT_SENT: 'The task was canceled before anything was sent to the upstream.',
  ALREADY_SENT:
    'The task was canceled after it was sent to the upstream. The upstream cannot be stopped and may bill the task. Images that still arrive are kept as late images.',
  ALREADY_FINISHED: 'The task was final already. Nothing changed.',
});

export const CancelTaskInput = createInputType<{ id: string }>(
  'CancelTaskInput',
  'Input for canceling a task.',
  { id: field(ID, 'ID of the task.') },
);

export const CancelTaskPayload = createPayloadType('cancelTask', {
  task: onSuccess(TaskType, 'The task in its current state.'),
  outcome: onSuccess(CancelOutcomeEnum, 'Effect of the request.'),
});

export const RetryTaskInput = createInputType<{ id: string; idempotencyKey?: string | null }>(
  'RetryTaskInput',
  'Input for repeating a task. The upstream may bill the new task as well.',
  {
    id: field(ID, 'ID of the task to repeat. It must be final.'),
    idempotencyKey: nullable(
      String,
      'Key that makes it safe to send the request again, 1 to 255 characters. A repeated key for the same task returns the existing retry. Default: the header `Idempotency-Key`.',
    ),
  },
);

export const RetryTaskPayload = createPayloadType('retryTask', {
  task: onSuccess(TaskType, 'The new task.'),
});
