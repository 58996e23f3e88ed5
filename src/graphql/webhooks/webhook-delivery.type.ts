import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, Int, ObjectType } from 'type-graphql';
import {
  type WebhookDeliveryKind,
  type WebhookDeliveryStatus,
} from '../../core/webhooks/webhook-delivery.js';
import { createConnectionType } from '../relay/connection.type.js';
import { createPayloadType } from '../relay/payload.type.js';
import { TaskType } from '../tasks/task.type.js';
import { createEnumType } from '../server/enum-type.js';

const WebhookDeliveryKindEnum = createEnumType<WebhookDeliveryKind>(
  'WebhookDeliveryKind',
  'Which result a webhook delivery posts.',
  {
    RESULT: 'The final state of the task, with its images or its error.',
    LATE_RESULT: 'Images that arrived after the task was final.',
  },
);

const WebhookDeliveryStatusEnum = createEnumType<WebhookDeliveryStatus>(
  'WebhookDeliveryStatus',
  'State of a webhook delivery.',
  {
    PENDING: 'An attempt is due at `nextAttemptAt`, or in progress.',
    DELIVERED: 'The endpoint responded with a status from 200 to 299.',
    ABANDONED: 'The last attempt failed, or the endpoint responded with 410. `redeliverWebhook` starts over.',
  },
);

@ObjectType('WebhookDelivery', {
  description:
    "A result that is posted to the task's `webhookUrl`. Attempts continue until the endpoint accepts the result or responds with 410, or until the eighth attempt fails, usually more than a day after the first.",
  simpleResolvers: true,
})
export class WebhookDeliveryType {
  @Field(() => ID, {
    description:
      'ID of the delivery. Every attempt sends it in the header `webhook-id`, also after a redelivery.',
  })
  id!: string;

  @Field(() => WebhookDeliveryKindEnum, { description: 'Which result is posted.' })
  kind!: WebhookDeliveryKind;

  @Field(() => WebhookDeliveryStatusEnum, { description: 'State of the delivery.' })
  status!: WebhookDeliveryStatus;

  @Field(() => GraphQLDateTime, { description: 'Time when the result became ready to post.' })
  createdAt!: Date;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description:
      'Time when the next attempt is due. During an attempt, the time when that attempt is considered lost and is repeated. Null unless the status is PENDING.',
  })
  nextAttemptAt!: Date | null;

  @Field(() => Int, {
    description: 'Number of attempts that have begun, including those before a redelivery.',
  })
  attemptCount!: number;
}

@ObjectType('WebhookAttempt', {
  description:
    'One HTTP POST of a webhook delivery. Unless the delivery is pending, it is deleted after the retention period that the operator has set, by default 30 days.',
  simpleResolvers: true,
})
export class WebhookAttemptType {
  @Field(() => ID, { description: 'ID of the attempt, a UUIDv7.' })
  id!: string;

  @Field(() => Int, {
    description: '1-based number of the attempt in its delivery, including those before a redelivery.',
  })
  attemptNumber!: number;

  @Field(() => GraphQLDateTime, { description: 'Time when the attempt was made.' })
  at!: Date;

  @Field(() => Int, {
    nullable: true,
    description:
      'HTTP status of the response. 200 to 299 means delivered. Null if the endpoint sent no response. A response whose body breaks off still counts.',
  })
  statusCode!: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'Reason why the attempt failed. Null if it succeeded.',
  })
  errorMessage!: string | null;

  @Field(() => Int, {
    description: 'Milliseconds until the response or the failure. The timeout is 15 seconds.',
  })
  latencyMs!: number;

  @Field(() => String, {
    nullable: true,
    description: 'First 1,024 bytes of the response body, as text. Null if there was no response.',
  })
  responseBody!: string | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description:
      'Time for which the next attempt was scheduled after this one. Null if this attempt succeeded, if it was the last one, or if another attempt had begun in the meantime.',
  })
  nextAttemptAt!: Date | null;
}

export const WebhookDeliveryConnection = createConnectionType(
  'WebhookDelivery',
  WebhookDeliveryType,
  'webhook deliveries, newest first',
);
export const WebhookAttemptConnection = createConnectionType(
  'WebhookAttempt',
  WebhookAttemptType,
  'webhook attempts, newest first',
);

@InputType('RedeliverWebhookInput', { description: 'Input for posting the results of a task again.' })
export class RedeliverWebhookInput {
  @Field(() => ID, { description: 'ID of the task.' })
  taskId!: string;
}

export const RedeliverWebhookPayload = createPayloadType('redeliverWebhook', {
  task: [TaskType, 'The task.'],
});
