import { Field, ID, InputType, ObjectType } from 'type-graphql';
import { type Task } from '../../core/tasks/task.js';
import { TaskType } from './task.type.js';
import { UserErrorType } from '../relay/user-error.type.js';

@InputType('RetryTaskInput', {
  description: 'Which ended task to ask for again. This can cost a second time.',
})
export class RetryTaskInput {
  @Field(() => ID, { description: 'The id of the ended task.' })
  id!: string;

  @Field(() => String, {
    nullable: true,
    description: 'Same key and same task: the same retry. 1 to 255 characters.',
  })
  idempotencyKey?: string | null;
}

@ObjectType('RetryTaskPayload', { description: 'The answer to retryTask.', simpleResolvers: true })
export class RetryTaskPayload {
  @Field(() => TaskType, { nullable: true, description: 'The new task; null when there are userErrors.' })
  task!: Task | null;

  @Field(() => [UserErrorType], { description: 'Everything that is wrong with the input; empty on success.' })
  userErrors!: readonly UserErrorType[];
}
