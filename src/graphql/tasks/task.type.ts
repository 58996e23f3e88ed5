import { GraphQLDateTime, GraphQLJSON, GraphQLURL } from 'graphql-scalars';
import { Field, ID, Int, ObjectType } from 'type-graphql';
import { type TaskKind, type TaskPriority, type TaskStatus } from '../../core/tasks/task.js';
import { createConnectionType } from '../relay/connection.type.js';
import { createEnumType } from '../server/enum-type.js';

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
      'The request may or may not have reached the upstream. It is never sent again, so that nothing is paid for twice. A result that arrives still completes the task.',
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

@ObjectType('TaskError', { description: 'Reason why a task has no images.', simpleResolvers: true })
export class TaskErrorType {
  @Field(() => String, { description: 'Stable code in SCREAMING_SNAKE_CASE, listed in docs/ERRORS.md.' })
  code!: string;

  @Field(() => String, { description: 'Human-readable sentence: what happened and what to do next.' })
  message!: string;

  @Field(() => Boolean, { description: 'Whether the same request may succeed later.' })
  retryable!: boolean;

  @Field(() => String, {
    nullable: true,
    description: 'Error code of the upstream. Null if it reported none.',
  })
  upstreamCode!: string | null;

  @Field(() => String, {
    nullable: true,
    description: "Trace ID to quote to the upstream's support. Null if the upstream reported none.",
  })
  upstreamTraceId!: string | null;
}

@ObjectType('TaskCost', {
  description:
    'Cost of a task by the configured price list. Amounts are decimal numbers as strings, such as "0.08".',
  simpleResolvers: true,
})
export class TaskCostType {
  @Field(() => String, {
    nullable: true,
    description:
      'Highest expected cost: the price of an image at the time of the request, times `requestedCount`. Null if the price was unknown.',
  })
  estimated!: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Cost of the delivered images, including late ones. Null until the task is final, or if the price was unknown. Also null if the task was canceled or expired after it was sent, until a late result arrives. The upstream may have billed such a task.',
  })
  final!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'ISO 4217 currency code, such as USD. Null if the price was unknown.',
  })
  currency!: string | null;
}

@ObjectType('Task', { description: 'A request for images, its state and its result.', simpleResolvers: true })
export class TaskType {
  @Field(() => ID, { description: 'ID of the task, a UUIDv7. Later tasks sort after earlier ones.' })
  id!: string;

  @Field(() => TaskKindEnum, { description: 'Whether the task generates or edits images.' })
  kind!: TaskKind;

  @Field(() => TaskStatusEnum, { description: 'Current state of the task.' })
  status!: TaskStatus;

  @Field(() => String, { description: 'Prompt of the request, unchanged.' })
  prompt!: string;

  @Field(() => String, { description: 'Name of the model. See `models`.' })
  model!: string;

  @Field(() => String, {
    nullable: true,
    description:
      'Size in pixels such as "1024x768", or an aspect ratio such as "16:9", depending on the model. Null for an edit that keeps the aspect ratio of its source.',
  })
  size!: string | null;

  @Field(() => Int, { description: 'Number of images requested.' })
  requestedCount!: number;

  @Field(() => Int, {
    description:
      "Number of images in the upstream's result, without late images. It can be lower than `requestedCount`.",
  })
  deliveredCount!: number;

  @Field(() => GraphQLURL, {
    nullable: true,
    description:
      'URL of the source image of an edit. Null if the task is not an edit, or if the source is an image in Darkroom.',
  })
  sourceImageUrl!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'ID of the task at the upstream. Null until it is known.',
  })
  upstreamTaskId!: string | null;

  @Field(() => String, {
    nullable: true,
    description: "Trace ID to quote to the upstream's support. Null until it is known.",
  })
  upstreamTraceId!: string | null;

  @Field(() => TaskPriorityEnum, { description: 'Priority among the queued tasks of the same end user.' })
  priority!: TaskPriority;

  @Field(() => String, {
    nullable: true,
    description: "The workspace's own ID of the end user that the task is for. Null if it is for none.",
  })
  endUserId!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Idempotency key of the request. Null if it had none.',
  })
  idempotencyKey!: string | null;

  @Field(() => GraphQLURL, {
    nullable: true,
    description: 'URL to which the result is posted. Null if the request had none.',
  })
  webhookUrl!: string | null;

  @Field(() => GraphQLJSON, {
    nullable: true,
    description: '`metadata` of the request, unchanged. Null if the request had none.',
  })
  metadata!: unknown;

  @Field(() => GraphQLDateTime, { description: 'Time when the request was acknowledged.' })
  createdAt!: Date;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'Time when the upstream accepted the task. Null if it has not been accepted.',
  })
  submittedAt!: Date | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'Time when the task became final. Null until then.',
  })
  finishedAt!: Date | null;

  @Field(() => GraphQLDateTime, { description: 'Time when the task expires if it is not final by then.' })
  deadlineAt!: Date;
}

export const TaskConnection = createConnectionType('Task', TaskType, 'tasks, newest first');
