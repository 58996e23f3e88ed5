import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, ObjectType, registerEnumType } from 'type-graphql';
import { CALLBACK_VERDICTS, type CallbackVerdict } from '../../core/callbacks/callback.js';

export const CallbackVerdictEnum = Object.fromEntries(CALLBACK_VERDICTS.map((verdict) => [verdict, verdict]));
registerEnumType(CallbackVerdictEnum, {
  name: 'CallbackVerdict',
  description: 'What was made of a callback.',
  valuesConfig: {
    APPLIED: { description: 'It brought the task to its end.' },
    DUPLICATE: { description: 'The task had this end already.' },
    EARLY: { description: 'It brought the task to its end before the reply to our request had been read.' },
    LATE: { description: 'The task had ended without a result; pictures, if any, are kept as late images.' },
    UNKNOWN_TASK: { description: 'There is no such task.' },
    CONFLICT: { description: 'It contradicts a result that was there before. Nothing was changed.' },
    MALFORMED: { description: 'It could not be understood. The task goes on.' },
  },
});

@ObjectType('Callback', {
  description: 'A POST from the upstream to the callback link of a task, and its verdict.',
  simpleResolvers: true,
})
export class CallbackType {
  @Field(() => ID, { description: 'A UUIDv7.' })
  id!: string;

  @Field(() => GraphQLDateTime, { description: 'When it came.' })
  receivedAt!: Date;

  @Field(() => CallbackVerdictEnum, { description: 'What was made of it.' })
  verdict!: CallbackVerdict;
}
