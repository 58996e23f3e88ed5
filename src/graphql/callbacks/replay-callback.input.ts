import { Field, ID, InputType, ObjectType } from 'type-graphql';
import { type Callback } from '../../core/callbacks/callback.js';
import { CallbackType } from './callback.type.js';
import { UserErrorType } from '../relay/user-error.type.js';

@InputType('ReplayCallbackInput', { description: 'Which callback to take again.' })
export class ReplayCallbackInput {
  @Field(() => ID, { description: 'The id of the callback.' })
  id!: string;
}

@ObjectType('ReplayCallbackPayload', { description: 'The answer to replayCallback.', simpleResolvers: true })
export class ReplayCallbackPayload {
  @Field(() => CallbackType, {
    nullable: true,
    description: 'With its verdict of now; null when there are userErrors.',
  })
  callback!: Callback | null;

  @Field(() => [UserErrorType], { description: 'Everything that is wrong with the input; empty on success.' })
  userErrors!: readonly UserErrorType[];
}
