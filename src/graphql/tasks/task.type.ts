import { GraphQLDateTime, GraphQLJSON, GraphQLURL } from 'graphql-scalars';
import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import {
  TASK_KINDS,
  TASK_PRIORITIES,
  TASK_STATUSES,
  type TaskKind,
  type TaskPriority,
  type TaskStatus,
} from '../../core/tasks/task.js';

export const TaskKindEnum = Object.fromEntries(TASK_KINDS.map((kind) => [kind, kind]));
registerEnumType(TaskKindEnum, {
  name: 'TaskKind',
  description: 'Whether pictures are made from words alone, or from a picture and words.',
  valuesConfig: {
    GENERATE: { description: 'Pictures from a prompt.' },
    EDIT: { description: 'A picture changed as the prompt says.' },
  },
});

export const TaskStatusEnum = Object.fromEntries(TASK_STATUSES.map((status) => [status, status]));
registerEnumType(TaskStatusEnum, {
  name: 'TaskStatus',
  description:
    'Where a task is. SUCCEEDED, FAILED, CANCELED and EXPIRED are ends: a task has one, and it is final.',
  valuesConfig: {
    QUEUED: {
      description: 'Written down; not sent yet, or to be sent again because certainly nothing was made.',
    },
    SUBMITTING: { description: 'Being sent to the upstream.' },
    UNCONFIRMED: {
      description:
        'The request may or may not have reached the upstream. It is never sent again by us, so that nothing is paid for twice; a result that comes still ends it.',
    },
    RUNNING: { description: 'The upstream has accepted it and is at work.' },
    SUCCEEDED: { description: 'There are pictures, perhaps fewer than were asked for: see deliveredCount.' },
    FAILED: { description: 'There is no picture; `error` says why.' },
    CANCELED: { description: 'The caller took it back.' },
    EXPIRED: { description: 'The deadline passed; `error` says what is known.' },
  },
});

export const TaskPriorityEnum = Object.fromEntries(TASK_PRIORITIES.map((priority) => [priority, priority]));
registerEnumType(TaskPriorityEnum, {
  name: 'TaskPriority',
  description:
    'Which of the queued tasks of one end user goes first. It changes nothing for other end users and other workspaces.',
  valuesConfig: {
    LOW: { description: 'After the others.' },
    NORMAL: { description: 'In the order of asking.' },
    HIGH: { description: 'Before the others.' },
  },
});

@ObjectType('TaskError', { description: 'Why a task has no pictures.', simpleResolvers: true })
export class TaskErrorType {
  @Field(() => String, { description: 'Stable, SCREAMING_CASE, listed in docs/ERRORS.md.' })
  code!: string;

  @Field(() => String, { description: 'What happened and what to do next, as a sentence for a person.' })
  message!: string;

  @Field(() => Boolean, { description: 'Whether the same request may work later.' })
  retryable!: boolean;

  @Field(() => String, { nullable: true, description: "The upstream's own code, where it gave one." })
  upstreamCode!: string | null;

  @Field(() => String, { nullable: true, description: "By which the upstream's support finds the request." })
  upstreamTraceId!: string | null;
}

@ObjectType('TaskCost', {
  description: 'What a task costs, by the price list. Amounts are decimal numbers as text, such as "0.08".',
  simpleResolvers: true,
})
export class TaskCostType {
  @Field(() => String, {
    nullable: true,
    description:
      'What it could cost: the price that applied at its request, times the pictures asked for. Null: no price was known.',
  })
  estimated!: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'What was delivered has cost, late pictures included. Null until the task has ended; also when it was canceled or expired after it had been sent and no more was heard, for the upstream may have billed it; and where no price was known.',
  })
  final!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Three letters, as ISO 4217 has them; null: no price was known.',
  })
  currency!: string | null;
}

@ObjectType('Task', {
  description: 'What a caller asked for, and what became of it.',
  simpleResolvers: true,
})
export class TaskType {
  @Field(() => ID, { description: 'A UUIDv7: tasks made later sort later.' })
  id!: string;

  @Field(() => TaskKindEnum, { description: 'Whether it generates or edits.' })
  kind!: TaskKind;

  @Field(() => TaskStatusEnum, { description: 'Where it is now.' })
  status!: TaskStatus;

  @Field(() => String, { description: 'As the caller wrote it.' })
  prompt!: string;

  @Field(() => String, { description: 'The model that makes the pictures; see `models`.' })
  model!: string;

  @Field(() => String, {
    nullable: true,
    description: "WIDTHxHEIGHT in pixels or a ratio, by model. Null for an edit that keeps its source's.",
  })
  size!: string | null;

  @Field(() => Int, { description: 'Pictures that were asked for.' })
  requestedCount!: number;

  @Field(() => Int, { description: 'Pictures that the upstream delivered in time; can be fewer.' })
  deliveredCount!: number;

  @Field(() => GraphQLURL, {
    nullable: true,
    description: 'What an edit started from, when it was given by its URL.',
  })
  sourceImageUrl!: string | null;

  @Field(() => String, { nullable: true, description: "The upstream's id, once it is known." })
  upstreamTaskId!: string | null;

  @Field(() => String, { nullable: true, description: "By which the upstream's support finds the task." })
  upstreamTraceId!: string | null;

  @Field(() => TaskPriorityEnum, { description: 'Its place among the queued tasks of its own end user.' })
  priority!: TaskPriority;

  @Field(() => String, {
    nullable: true,
    description: 'For whom of its own users the workspace asked. Null: for itself.',
  })
  endUserId!: string | null;

  @Field(() => String, { nullable: true, description: 'The key that the request came with.' })
  idempotencyKey!: string | null;

  @Field(() => GraphQLURL, { nullable: true, description: 'Where its result is posted to.' })
  callbackUrl!: string | null;

  @Field(() => GraphQLJSON, {
    nullable: true,
    description: "The caller's own JSON, up to 4 KB, returned untouched.",
  })
  metadata!: unknown;

  @Field(() => GraphQLDateTime, { description: 'When the request was acknowledged.' })
  createdAt!: Date;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When the upstream accepted it.' })
  submittedAt!: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When it came to its end.' })
  finishedAt!: Date | null;

  @Field(() => GraphQLDateTime, { description: 'When we give up on it.' })
  deadlineAt!: Date;
}
