import { GraphQLDateTime, GraphQLJSON } from 'graphql-scalars';
import { Field, ID, ObjectType, registerEnumType } from 'type-graphql';
import { EVENT_TYPES, type EventType } from '../../core/events/task-event.js';

export const TaskEventTypeEnum = Object.fromEntries(EVENT_TYPES.map((type) => [type, type]));
registerEnumType(TaskEventTypeEnum, {
  name: 'TaskEventType',
  description: 'What happened. The `data` of each kind is described in docs/PROTOCOL.md.',
  valuesConfig: {
    TASK_REQUESTED: { description: 'The request was acknowledged.' },
    TASK_SUBMITTED: { description: 'The upstream accepted it.' },
    SUBMIT_REJECTED: { description: 'An attempt made nothing; the next one is at `data.retryAt`.' },
    SUBMIT_UNCONFIRMED: { description: 'A request may or may not have arrived; it is not sent again.' },
    TASK_SUCCEEDED: {
      description: 'The result is there; IMAGE_STORED or IMAGE_LOST follows for each picture.',
    },
    TASK_FAILED: { description: 'An end without pictures.' },
    TASK_CANCELED: { description: 'The caller took it back.' },
    TASK_EXPIRED: { description: 'The deadline passed.' },
    LATE_RESULT_ARRIVED: { description: 'Pictures came after the end; they are kept as late images.' },
    IMAGE_STORED: { description: 'Our copy of a picture is complete, with what is needed to lay it out.' },
    IMAGE_LOST: { description: "The upstream's link gave no picture, and nobody will ask it again." },
    IMAGE_DELETED: { description: 'A picture was taken away; its links answer 410.' },
  },
});

@ObjectType('TaskEvent', {
  description:
    'One fact about a task. Events are never changed or deleted: they are the audit history and the push stream.',
  simpleResolvers: true,
})
export class TaskEventType {
  @Field(() => ID, { description: 'A UUID.' })
  id!: string;

  @Field(() => TaskEventTypeEnum, { description: 'What happened.' })
  type!: EventType;

  @Field(() => GraphQLDateTime, { description: 'When it was written down.' })
  at!: Date;

  @Field(() => String, {
    description:
      'Who or what caused it: the name of a key, "submitter", "upstream callback", "reconciler", "deadline", "image store".',
  })
  actor!: string;

  @Field(() => GraphQLJSON, { description: 'Facts of this kind of event; shapes are in docs/PROTOCOL.md.' })
  data!: unknown;
}
