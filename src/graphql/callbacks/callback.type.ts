import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, ObjectType, registerEnumType } from 'type-graphql';
import { type Callback, CALLBACK_VERDICTS, type CallbackVerdict } from '../../core/callbacks/callback.js';
import { createConnectionType } from '../relay/connection.type.js';
import { Payload } from '../relay/payload.type.js';

export const CallbackVerdictEnum = Object.fromEntries(CALLBACK_VERDICTS.map((verdict) => [verdict, verdict]));
registerEnumType(CallbackVerdictEnum, {
  name: 'CallbackVerdict',
  description: 'Effect of an upstream callback.',
  valuesConfig: {
    APPLIED: { description: 'The callback completed the task.' },
    DUPLICATE: { description: 'The task had this result already. Nothing changed.' },
    EARLY: {
      description:
        "The callback completed the task before the upstream's response to the submission was processed.",
    },
    LATE: {
      description:
        'The task was already final, without images. Images in the callback are kept as late images.',
    },
    UNKNOWN_TASK: { description: 'No task has the ID in the callback URL. Nothing changed.' },
    CONFLICT: {
      description: 'The callback reports a failure, but the task has already succeeded. Nothing changed.',
    },
    MALFORMED: { description: 'The body of the callback could not be parsed. The task continues.' },
  },
});

@ObjectType('Callback', {
  description:
    'A POST from the upstream to the callback URL of a task, and its effect. It is deleted after the retention period that the operator has set, by default 30 days.',
  simpleResolvers: true,
})
export class CallbackType {
  @Field(() => ID, { description: 'ID of the callback, a UUIDv7.' })
  id!: string;

  @Field(() => GraphQLDateTime, { description: 'Time when the callback was received.' })
  receivedAt!: Date;

  @Field(() => CallbackVerdictEnum, { description: 'Effect of the callback.' })
  verdict!: CallbackVerdict;
}

export const CallbackConnection = createConnectionType('Callback', CallbackType, 'callbacks, newest first');

@InputType('CallbackFilter', { description: 'Conditions on callbacks. A callback must meet all of them.' })
export class CallbackFilterInput {
  @Field(() => [CallbackVerdictEnum], {
    nullable: true,
    description: 'Callbacks with one of these verdicts. Empty or omitted: any.',
  })
  verdicts?: CallbackVerdict[] | null;

  @Field(() => ID, { nullable: true, description: 'Callbacks for the task with this ID. Omitted: any.' })
  taskId?: string | null;
}

@InputType('ReplayCallbackInput', { description: 'Input for replaying a callback.' })
export class ReplayCallbackInput {
  @Field(() => ID, { description: 'ID of the callback.' })
  id!: string;
}

@ObjectType('ReplayCallbackPayload', { description: 'Output of `replayCallback`.', simpleResolvers: true })
export class ReplayCallbackPayload extends Payload {
  @Field(() => CallbackType, {
    nullable: true,
    description: 'The callback with its new verdict. Null if there are `userErrors`.',
  })
  callback!: Callback | null;
}
