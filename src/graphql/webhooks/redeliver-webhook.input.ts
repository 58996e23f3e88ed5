import { Field, ID, InputType, ObjectType } from 'type-graphql';
import { type Task } from '../../core/tasks/task.js';
import { TaskType } from '../tasks/task.type.js';
import { UserErrorType } from '../relay/user-error.type.js';

@InputType('RedeliverCallbackInput', { description: 'Which result to post again.' })
export class RedeliverCallbackInput {
  @Field(() => ID, { description: 'The id of the task.' })
  id!: string;
}

@ObjectType('RedeliverCallbackPayload', {
  description: 'The answer to redeliverCallback.',
  simpleResolvers: true,
})
export class RedeliverCallbackPayload {
  @Field(() => TaskType, { nullable: true, description: 'The task; null when there are userErrors.' })
  task!: Task | null;

  @Field(() => [UserErrorType], { description: 'Everything that is wrong with the input; empty on success.' })
  userErrors!: readonly UserErrorType[];
}
