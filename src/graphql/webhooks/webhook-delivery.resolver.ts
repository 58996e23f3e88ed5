import { GraphQLDateTime } from 'graphql-scalars';
import { Args, Authorized, Ctx, FieldResolver, ID, Int, Mutation, Resolver, Root } from 'type-graphql';
import { type Task } from '../../core/tasks/task.js';
import {
  type WebhookAttempt,
  type WebhookDeliveryKind,
  type WebhookDeliveryStatus,
  type WebhookDeliverySummary,
} from '../../core/webhooks/webhook-delivery.js';
import { WebhookSender } from '../../services/webhooks/webhook-sender.js';
import { createConnectionType, toConnection } from '../relay/connection.type.js';
import { PageArgs } from '../relay/page-args.js';
import { createPayloadType, onSuccess, withUserErrors } from '../relay/payload.type.js';
import { Input } from '../server/argument-decorators.js';
import { type Context } from '../server/context.js';
import {
  createEnumType,
  createInputType,
  createObjectType,
  field,
  nullable,
} from '../server/schema-types.js';
import { TaskType } from '../tasks/task.type.js';

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

const WebhookDeliveryType = createObjectType<WebhookDeliverySummary>(
  'WebhookDelivery',
  "A result that is posted to the task's `webhookUrl`. Attempts continue until the endpoint accepts the result or responds with 410, or until the eighth attempt fails, usually more than a day after the first.",
  {
    id: field(
      ID,
      'ID of the delivery. Every attempt sends it in the header `webhook-id`, also after a redelivery.',
    ),
    kind: field(WebhookDeliveryKindEnum, 'Which result is posted.'),
    status: field(WebhookDeliveryStatusEnum, 'State of the delivery.'),
    createdAt: field(GraphQLDateTime, 'Time when the result became ready to post.'),
    nextAttemptAt: nullable(
      GraphQLDateTime,
      'Time when the next attempt is due. During an attempt, the time when that attempt is considered lost and is repeated. Null unless the status is PENDING.',
    ),
    attemptCount: field(Int, 'Number of attempts that have begun, including those before a redelivery.'),
  },
);

const WebhookAttemptType = createObjectType<WebhookAttempt>(
  'WebhookAttempt',
  'One HTTP POST of a webhook delivery. Unless the delivery is pending, the attempt is deleted after the retention period that the operator has set, by default 30 days.',
  {
    id: field(ID, 'ID of the attempt, a UUIDv7.'),
    attemptNumber: field(
      Int,
      '1-based number of the attempt in its delivery, including those before a redelivery.',
    ),
    at: field(GraphQLDateTime, 'Time when the attempt was made.'),
    statusCode: nullable(
      Int,
      'HTTP status of the response. 200 to 299 means delivered. Null if the endpoint sent no response. A response whose body breaks off still counts.',
    ),
    errorMessage: nullable(String, 'Reason why the attempt failed. Null if it succeeded.'),
    latencyMs: field(Int, 'Milliseconds until the response or the failure. The timeout is 15 seconds.'),
    responseBody: nullable(
      String,
      'First 1,024 bytes of the response body, as text. Null if there was no response.',
    ),
    nextAttemptAt: nullable(
      GraphQLDateTime,
      'Time for which the next attempt was scheduled after this one. Null if this attempt succeeded, if it was the last one, or if another attempt had begun in the meantime.',
    ),
  },
);

const WebhookDeliveryConnection = createConnectionType(
  'WebhookDelivery',
  WebhookDeliveryType,
  'webhook deliveries, newest first',
);
const WebhookAttemptConnection = createConnectionType(
  'WebhookAttempt',
  WebhookAttemptType,
  'webhook attempts, newest first',
);

const RedeliverWebhookInput = createInputType<{ taskId: string }>(
  'RedeliverWebhookInput',
  'Input for posting the results of a task again.',
  { taskId: field(ID, 'ID of the task.') },
);

const RedeliverWebhookPayload = createPayloadType('redeliverWebhook', {
  task: onSuccess(TaskType, 'The task.'),
});

@Resolver(() => WebhookDeliveryType)
export class WebhookDeliveryResolver {
  constructor(private readonly webhookSender: WebhookSender) {}

  @FieldResolver(() => WebhookAttemptConnection, {
    description: 'Attempts to deliver the result, newest first.',
  })
  async attempts(@Root() delivery: WebhookDeliverySummary, @Args() page: PageArgs) {
    return toConnection(await this.webhookSender.pageOfAttempts(delivery, page));
  }

  @Authorized('tasks:write')
  @Mutation(() => RedeliverWebhookPayload, {
    description:
      'Posts the results of a task to its `webhookUrl` again at once, with up to eight new attempts. It works for results that are pending, delivered or abandoned, until they are deleted (`CALLBACK_RETENTION_DAYS` after their last attempt). The `webhook-id` stays the same. Requires the scope `tasks:write`.',
  })
  redeliverWebhook(
    @Ctx() { caller }: Context,
    @Input(RedeliverWebhookInput, 'The task whose results to post.')
    { taskId }: InstanceType<typeof RedeliverWebhookInput>,
  ) {
    return withUserErrors(async () => ({ task: await this.webhookSender.redeliver(caller, taskId) }));
  }
}

/** The fields that webhooks add to a task. */
@Resolver(() => TaskType)
export class TaskWebhooksResolver {
  constructor(private readonly webhookSender: WebhookSender) {}

  @FieldResolver(() => WebhookDeliveryConnection, {
    description:
      'Deliveries of results to `webhookUrl`, newest first. Empty if the task has no `webhookUrl` or no result yet. Delivered and abandoned deliveries are deleted `CALLBACK_RETENTION_DAYS` after their last attempt.',
  })
  async webhookDeliveries(@Root() task: Task, @Args() page: PageArgs) {
    return toConnection(await this.webhookSender.pageOfDeliveries(task, page));
  }
}
