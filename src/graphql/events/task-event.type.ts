import { GraphQLDateTime, GraphQLJSON } from 'graphql-scalars';
import { Field, ID, InputType, ObjectType } from 'type-graphql';
import { EVENT_ACTORS, type EventType } from '../../core/events/task-event.js';
import { createConnectionType } from '../relay/connection.type.js';
import { createEnumType } from '../server/enum-type.js';

export const TaskEventTypeEnum = createEnumType<EventType>(
  'TaskEventType',
  'Kind of an event. docs/PROTOCOL.md describes the `data` of each.',
  {
    TASK_REQUESTED: 'The request was acknowledged.',
    TASK_SUBMITTED: 'The upstream accepted the task.',
    SUBMIT_REJECTED: 'An attempt to submit created nothing. The next attempt is made at `data.retryAt`.',
    SUBMIT_UNCONFIRMED: 'An attempt to submit may or may not have reached the upstream. It is not repeated.',
    TASK_SUCCEEDED: 'The result arrived. IMAGE_STORED or IMAGE_LOST follows for each image.',
    TASK_FAILED: 'The task finished without an image.',
    TASK_CANCELED: 'The caller canceled the task.',
    TASK_EXPIRED: 'The task was not finished by its deadline.',
    LATE_RESULT_RECEIVED: 'Images arrived after the task was final. They are kept as late images.',
    IMAGE_STORED:
      "Darkroom's copy of an image is complete. `data` holds its width, height, type, size in bytes and placeholder.",
    IMAGE_LOST:
      "An image could not be downloaded from the upstream's URL, or its bytes are not an accepted image. No further attempt is made.",
    IMAGE_DELETED: 'An image was deleted. Its URLs return 410.',
    WEBHOOK_DELIVERED: 'The webhook endpoint accepted the result.',
    WEBHOOK_ABANDONED:
      'The result is no longer posted to the webhook endpoint: the last attempt failed, or the endpoint responded with 410. `redeliverWebhook` starts over.',
  },
);

const ACTORS = Object.values(EVENT_ACTORS)
  .map((actor) => `"${actor}"`)
  .join(', ');

@ObjectType('TaskEvent', {
  description:
    'A change to a task or its images. Events are immutable. They form the history of the task, and subscriptions deliver them.',
  simpleResolvers: true,
})
export class TaskEventType {
  @Field(() => ID, { description: 'ID of the event, a UUID.' })
  id!: string;

  @Field(() => TaskEventTypeEnum, { description: 'Kind of the event.' })
  type!: EventType;

  @Field(() => GraphQLDateTime, { description: 'Time when the event was recorded.' })
  at!: Date;

  @Field(() => String, {
    description: `Name of the API key that caused the event, or the part of Darkroom that did: ${ACTORS}.`,
  })
  actor!: string;

  @Field(() => GraphQLJSON, {
    description: 'Details of the event. docs/PROTOCOL.md describes them for each type.',
  })
  data!: unknown;
}

export const TaskEventConnection = createConnectionType('TaskEvent', TaskEventType, 'events, oldest first');

@InputType('TaskEventFilter', { description: 'Conditions on events. An event must meet all of them.' })
export class TaskEventFilterInput {
  @Field(() => [ID], {
    nullable: true,
    description:
      'Events of the tasks with these IDs, at most 100 in a subscription. Empty or omitted: all tasks.',
  })
  taskIds?: string[] | null;

  @Field(() => [TaskEventTypeEnum], {
    nullable: true,
    description: 'Events of one of these types. Empty or omitted: any.',
  })
  types?: EventType[] | null;
}
