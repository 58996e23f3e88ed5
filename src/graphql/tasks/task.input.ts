import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType } from 'type-graphql';
import { type CancelOutcome, type TaskKind, type TaskStatus } from '../../core/tasks/task.js';
import { createPayloadType } from '../relay/payload.type.js';
import { TaskKindEnum, TaskStatusEnum, TaskType } from './task.type.js';
import { createEnumType } from '../server/enum-type.js';

@InputType('TaskFilter', { description: 'Conditions on tasks. A task must meet all of them.' })
export class TaskFilterInput {
  @Field(() => [TaskStatusEnum], {
    nullable: true,
    description: 'Tasks with one of these statuses. Empty or omitted: any.',
  })
  statuses?: TaskStatus[] | null;

  @Field(() => [TaskKindEnum], {
    nullable: true,
    description: 'Tasks of one of these kinds. Empty or omitted: any.',
  })
  kinds?: TaskKind[] | null;

  @Field(() => [String], {
    nullable: true,
    description: 'Tasks with one of these models, by name. Empty or omitted: any.',
  })
  models?: string[] | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'Tasks created at or after this time.' })
  createdAfter?: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'Tasks created before this time.' })
  createdBefore?: Date | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Words that the prompt must contain. "Quoted phrases", `or` and `-excluded` work as in a web search.',
  })
  search?: string | null;
}

const CancelOutcomeEnum = createEnumType<CancelOutcome>('CancelOutcome', 'Effect of canceling a task.', {
  NOT_SENT: 'The task was canceled before anything was sent to the upstream.',
  ALREADY_SENT:
    'The task was canceled after it was sent to the upstream. The upstream cannot be stopped and may bill the task. Images that still arrive are kept as late images.',
  ALREADY_FINISHED: 'The task was final already. Nothing changed.',
});

@InputType('CancelTaskInput', { description: 'Input for canceling a task.' })
export class CancelTaskInput {
  @Field(() => ID, { description: 'ID of the task.' })
  id!: string;
}

export const CancelTaskPayload = createPayloadType('cancelTask', {
  task: [TaskType, 'The task in its current state.'],
  outcome: [CancelOutcomeEnum, 'Effect of the request.'],
});

@InputType('RetryTaskInput', {
  description: 'Input for repeating a task. The upstream may bill the new task as well.',
})
export class RetryTaskInput {
  @Field(() => ID, { description: 'ID of the task to repeat. It must be final.' })
  id!: string;

  @Field(() => String, {
    nullable: true,
    description:
      'Key that makes it safe to send the request again, 1 to 255 characters. A repeated key for the same task returns the existing retry. Default: the header `Idempotency-Key`.',
  })
  idempotencyKey?: string | null;
}

export const RetryTaskPayload = createPayloadType('retryTask', {
  task: [TaskType, 'The new task.'],
});
