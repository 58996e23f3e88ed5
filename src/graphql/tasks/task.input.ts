import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, ObjectType, registerEnumType } from 'type-graphql';
import {
  CANCEL_OUTCOMES,
  type CancelOutcome,
  type Task,
  type TaskKind,
  type TaskStatus,
} from '../../core/tasks/task.js';
import { Payload } from '../relay/payload.type.js';
import { TaskKindEnum, TaskStatusEnum, TaskType } from './task.type.js';

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

const CancelOutcomeEnum = Object.fromEntries(CANCEL_OUTCOMES.map((outcome) => [outcome, outcome]));
registerEnumType(CancelOutcomeEnum, {
  name: 'CancelOutcome',
  description: 'Effect of canceling a task.',
  valuesConfig: {
    NOT_SENT: { description: 'The task was canceled before anything was sent to the upstream.' },
    ALREADY_SENT: {
      description:
        'The task was canceled after it was sent to the upstream. The upstream cannot be stopped and may bill the task. Images that still arrive are kept as late images.',
    },
    ALREADY_FINISHED: { description: 'The task was final already. Nothing changed.' },
  },
});

@InputType('CancelTaskInput', { description: 'Input for canceling a task.' })
export class CancelTaskInput {
  @Field(() => ID, { description: 'ID of the task.' })
  id!: string;
}

@ObjectType('CancelTaskPayload', { description: 'Output of `cancelTask`.', simpleResolvers: true })
export class CancelTaskPayload extends Payload {
  @Field(() => TaskType, {
    nullable: true,
    description: 'The task in its current state. Null if there are `userErrors`.',
  })
  task!: Task | null;

  @Field(() => CancelOutcomeEnum, {
    nullable: true,
    description: 'Effect of the request. Null if there are `userErrors`.',
  })
  outcome!: CancelOutcome | null;
}

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

@ObjectType('RetryTaskPayload', { description: 'Output of `retryTask`.', simpleResolvers: true })
export class RetryTaskPayload extends Payload {
  @Field(() => TaskType, { nullable: true, description: 'The new task. Null if there are `userErrors`.' })
  task!: Task | null;
}
