import { GraphQLDateTime } from 'graphql-scalars';
import { ID } from 'type-graphql';
import { EVENT_ACTORS, type EventType, type TaskEvent } from '../../core/events/task-event.js';
import { type EventFilter } from '../../services/events/event-subscriptions.js';
import { createConnectionType } from '../relay/connection.type.js';
import { JsonScalar } from '../server/json-scalar.js';
import {
  createEnumType,
  createInputType,
  createObjectType,
  field,
  nullable,
} from '../server/schema-types.js';

const TaskEventTypeEnum = createEnumType<EventType>(
  'TaskEventType',
  'Kind of an event. docs/PROTOCOL.md describes the `data` of each.',
  {
    TASK_REQUESTED: 'The request was acknowledged.',
    TASK_SUBMITTED: 'The upstream accepted the task.',
    SUBMIT_REJECTED:
      'An attempt to submit created nothing. The next attempt is made at `data.retryAt` at the earliest, if the deadline has not passed by then.',
    SUBMIT_UNCONFIRMED:
      'An attempt to submit may or may not have reached the upstream. It is not repeated, unless it turns out to have made nothing.',
    TASK_SUCCEEDED: 'The result arrived. IMAGE_STORED or IMAGE_LOST follows for each image.',
    TASK_FAILED: 'The task finished without an image.',
    TASK_CANCELED: 'The caller canceled the task.',
    TASK_EXPIRED: 'The task was not finished by its deadline.',
    LATE_RESULT_RECEIVED: 'Images arrived after the task was final. They are kept as late images.',
    IMAGE_STORED:
      "Darkroom's copy of an image is complete. `data` holds its width, height, type, size in bytes and placeholder, or why its bytes cannot be decoded.",
    IMAGE_LOST:
      "An image could not be downloaded from the upstream's URL, or it could not be stored for 7 days. No further attempt is made. `data` holds the URL, and the time until which it works if it says so.",
    IMAGE_DELETED: 'An image was deleted. Its URLs return 410.',
    WEBHOOK_DELIVERED: 'The webhook endpoint accepted the result.',
    WEBHOOK_ABANDONED:
      'The result is no longer posted to the webhook endpoint: the last attempt failed, or the endpoint responded with 410. `redeliverWebhook` starts over.',
  },
);

const ACTORS = Object.values(EVENT_ACTORS)
  .map((actor) => `"${actor}"`)
  .join(', ');

export const TaskEventType = createObjectType<TaskEvent>(
  'TaskEvent',
  'A change to a task or its images. Events are immutable. They form the history of the task, and subscriptions deliver them.',
  {
    id: field(ID, 'ID of the event, a UUID.'),
    type: field(TaskEventTypeEnum, 'Kind of the event.'),
    at: field(GraphQLDateTime, 'Time when the event was recorded.'),
    actor: field(
      String,
      `Name of the API key that caused the event, or the part of Darkroom that did: ${ACTORS}.`,
    ),
    data: field(JsonScalar, 'Details of the event. docs/PROTOCOL.md describes them for each type.'),
  },
);

export const TaskEventConnection = createConnectionType('TaskEvent', TaskEventType, 'events, oldest first');

export const TaskEventFilterInput = createInputType<EventFilter>(
  'TaskEventFilter',
  'Conditions on events. An event must meet all of them.',
  {
    taskIds: nullable(
      [ID],
      'Events of the tasks with these IDs, at most 100 in a subscription. Empty or omitted: all tasks.',
    ),
    types: nullable([TaskEventTypeEnum], 'Events of one of these types. Empty or omitted: any.'),
  },
);
