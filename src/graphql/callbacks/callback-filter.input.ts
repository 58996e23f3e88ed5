import { Field, ID, InputType } from 'type-graphql';
import { type CallbackVerdict } from '../../core/callbacks/callback.js';
import { CallbackVerdictEnum } from './callback.type.js';

@InputType('CallbackFilter', {
  description: 'Which callbacks to show. Every condition that is given must hold.',
})
export class CallbackFilterInput {
  @Field(() => [CallbackVerdictEnum], { nullable: true, description: 'Any of these; empty or absent: all.' })
  verdicts?: CallbackVerdict[] | null;

  @Field(() => ID, { nullable: true, description: 'Of this task; absent: of all.' })
  taskId?: string | null;
}
