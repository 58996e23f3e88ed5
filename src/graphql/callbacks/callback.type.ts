import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, ObjectType } from 'type-graphql';
import { type CallbackVerdict } from '../../core/callbacks/callback.js';
import { createConnectionType } from '../relay/connection.type.js';
import { createPayloadType } from '../relay/payload.type.js';
import { createEnumType } from '../server/enum-type.js';

export const CallbackVerdictEnum = createEnumType<CallbackVerdict>(
  'CallbackVerdict',
  'Effect of an upstream callback.',
  {
    APPLIED: 'The callback completed the task.',
    DUPLICATE: 'The task had this result already. Nothing changed.',
    EARLY: "The callback completed the task before the upstream's response to the submission was processed.",
    LATE: 'The task was already final, without images. Images in the callback are kept as late images.',
    UNKNOWN_TASK: 'No task has the ID in the callback URL. Nothing changed.',
    CONFLICT: 'The callback reports a failure, but the task has already succeeded. Nothing changed.',
    MALFORMED: 'The body is not JSON, or reports neither an image nor a failure. The task continues.',
  },
);

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

export const ReplayCallbackPayload = createPayloadType('replayCallback', {
  callback: [CallbackType, 'The callback with its new verdict.'],
});
