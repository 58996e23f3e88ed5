import { GraphQLDateTime, GraphQLURL } from 'graphql-scalars';
import { ID, Int } from 'type-graphql';
import { type TaskFailure } from '../../core/tasks/task-failure.js';
import { type Task, type TaskKind, type TaskPriority, type TaskStatus } from '../../core/tasks/task.js';
import { createConnectionType } from '../relay/connection.type.js';
import { JsonScalar } from '../server/json-scalar.js';
import { createEnumType, createObjectType, field, nullable } from '../server/schema-types.js';

export const TaskKindEnum = createEnumType<TaskKind>('TaskKind', 'Operation that a task performs.', {
  GENERATE: 'Generates images from a text prompt.',
  EDIT: 'Edits an existing image as the prompt describes.',
});

export const TaskStatusEnum = createEnumType<TaskStatus>(
  'TaskStatus',
  'State of a task. SUCCEEDED, FAILED, CANCELED and EXPIRED are final: a task never leaves them.',
  {
    QUEUED:
      'Waiting to be sent to the upstream. A task returns to this status if an attempt certainly created nothing and will be repeated.',
    SUBMITTING: 'Being sent to the upstream.',
    UNCONFIRMED:
      'The request may or may not have reached the upstream. It is not sent again, so that nothing is paid for twice, unless the upstream turns out to have made nothing. A result that arrives still completes the task.',
    RUNNING: 'Accepted by the upstream, which is working on it.',
    SUCCEEDED: 'Finished with at least one image, possibly fewer than requested. See `deliveredCount`.',
    FAILED: 'Finished without an image. `error` says why.',
    CANCELED: 'Canceled by the caller.',
    EXPIRED: 'Not finished by its deadline. `error` says what is known.',
  },
);

export const TaskPriorityEnum = createEnumType<TaskPriority>(
  'TaskPriority',
  'Priority among the queued tasks of one end user. It does not affect other end users or workspaces.',
  {
    LOW: 'After tasks with NORMAL and HIGH priority.',
    NORMAL: 'The default. Tasks of equal priority are sent oldest first.',
    HIGH: 'Before tasks with NORMAL and LOW priority.',
  },
);

export const TaskErrorType = createObjectType<TaskFailure>('TaskError', 'Reason why a task has no images.', {
  code: field(String, 'Stable code in SCREAMING_SNAKE_CASE, listed in docs/ERRORS.md.'),
  message: field(String, 'Human-readable sentence: what happened and what to do next.'),
  retryable: field(
    Boolean,
    'Whether the same request may succeed later. Never true while the upstream may bill this task, because a new request would then be paid for twice.',
  ),
  upstreamCode: nullable(String, 'Error code of the upstream. Null if it reported none.'),
  upstreamTraceId: nullable(
    String,
    "Trace ID to quote to the upstream's support. Null if the upstream reported none.",
  ),
});

export const TaskCostType = createObjectType<Record<'estimated' | 'final' | 'currency', string | null>>(
  'TaskCost',
  'Cost of a task according to the configured price list. Amounts are decimal numbers as strings, such as "0.08".',
  {
    estimated: nullable(
      String,
      'Highest expected cost: the price of an image at the time of the request, times `requestedCount`. Null if the price was unknown.',
    ),
    final: nullable(
      String,
      'Cost of the delivered images, including late ones. Null until the task is final, or if the price was unknown. Also null if the task was canceled or expired after it was sent, until a late result arrives. The upstream may have billed such a task.',
    ),
    currency: nullable(String, 'ISO 4217 currency code, such as USD. Null if the price was unknown.'),
  },
);

export const TaskType = createObjectType<Task>('Task', 'A request for images, its state and its result.', {
  id: field(ID, 'ID of the task, a UUIDv7. Later tasks sort after earlier ones.'),
  kind: field(TaskKindEnum, 'Whether the task generates or edits images.'),
  status: field(TaskStatusEnum, 'Current state of the task.'),
  prompt: field(String, 'Prompt of the request, unchanged.'),
  model: field(String, 'Name of the model. See `models`.'),
  size: nullable(
    String,
    'Size in pixels such as "1024x768", or an aspect ratio such as "16:9", depending on the model. Null for an edit that keeps the aspect ratio of its source.',
  ),
  requestedCount: field(Int, 'Number of images requested.'),
  deliveredCount: field(
    Int,
    "Number of images in the upstream's result, without late images. It can be lower than `requestedCount`.",
  ),
  sourceImageUrl: nullable(
    GraphQLURL,
    'URL of the source image of an edit. Null if the task is not an edit, or if the source is an image in Darkroom.',
  ),
  upstreamTaskId: nullable(String, 'ID of the task at the upstream. Null until it is known.'),
  upstreamTraceId: nullable(String, "Trace ID to quote to the upstream's support. Null until it is known."),
  priority: field(TaskPriorityEnum, 'Priority among the queued tasks of the same end user.'),
  endUserId: nullable(
    String,
    "The workspace's own ID of the end user that the task is for. Null if it is for none.",
  ),
  idempotencyKey: nullable(String, 'Idempotency key of the request. Null if it had none.'),
  webhookUrl: nullable(GraphQLURL, 'URL to which the result is posted. Null if the request had none.'),
  metadata: nullable(JsonScalar, '`metadata` of the request, unchanged. Null if the request had none.'),
  createdAt: field(GraphQLDateTime, 'Time when the request was acknowledged.'),
  submittedAt: nullable(
    GraphQLDateTime,
    'Time when the upstream accepted the task. Null if it has not been accepted.',
  ),
  finishedAt: nullable(GraphQLDateTime, 'Time when the task became final. Null until then.'),
  deadlineAt: field(GraphQLDateTime, 'Time when the task expires if it is not final by then.'),
});

export const TaskConnection = createConnectionType('Task', TaskType, 'tasks, newest first');
