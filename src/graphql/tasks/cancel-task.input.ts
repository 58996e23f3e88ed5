import { Field, ID, InputType, ObjectType, registerEnumType } from 'type-graphql';
import { CANCEL_OUTCOMES, type CancelOutcome, type Task } from '../../core/tasks/task.js';
import { TaskType } from './task.type.js';
import { UserErrorType } from '../relay/user-error.type.js';

export const CancelOutcomeEnum = Object.fromEntries(CANCEL_OUTCOMES.map((outcome) => [outcome, outcome]));
registerEnumType(CancelOutcomeEnum, {
  name: 'CancelOutcome',
  description: 'What taking a task back came to.',
  valuesConfig: {
    NOT_SENT: { description: 'Nothing was asked of the upstream.' },
    ALREADY_SENT: {
      description: 'The upstream cannot be stopped and may bill it; a result that comes is kept as late.',
    },
    ALREADY_FINISHED: { description: 'The task had ended; nothing was changed.' },
  },
});

@InputType('CancelTaskInput', { description: 'Which task to take back.' })
export class CancelTaskInput {
  @Field(() => ID, { description: 'The id of the task.' })
  id!: string;
}

@ObjectType('CancelTaskPayload', { description: 'The answer to cancelTask.', simpleResolvers: true })
export class CancelTaskPayload {
  @Field(() => TaskType, {
    nullable: true,
    description: 'The task as it is now; null when there are userErrors.',
  })
  task!: Task | null;

  @Field(() => CancelOutcomeEnum, {
    nullable: true,
    description: 'What it came to; null when there are userErrors.',
  })
  outcome!: CancelOutcome | null;

  @Field(() => [UserErrorType], { description: 'Everything that is wrong with the input; empty on success.' })
  userErrors!: readonly UserErrorType[];
}
