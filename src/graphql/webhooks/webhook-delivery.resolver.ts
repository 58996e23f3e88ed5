import { Arg, Args, Authorized, Ctx, FieldResolver, Mutation, Resolver, Root } from 'type-graphql';
import { type WebhookDeliverySummary } from '../../core/webhooks/webhook-delivery.js';
import { WebhookSender } from '../../services/webhooks/webhook-sender.js';
import { toConnection } from '../relay/connection.type.js';
import { PageArgs } from '../relay/page-args.js';
import { withUserErrors } from '../relay/payload.type.js';
import { type Context } from '../server/context.js';
import {
  RedeliverWebhookInput,
  RedeliverWebhookPayload,
  WebhookAttemptConnection,
  WebhookDeliveryType,
} from './webhook-delivery.type.js';

@Resolver(() => WebhookDeliveryType)
export class WebhookDeliveryResolver {
  constructor(private readonly webhookSender: WebhookSender) {}

  @FieldResolver(() => WebhookAttemptConnection, {
    description: 'Attempts to deliver the result, newest first.',
  })
  async attempts(@Root() delivery: WebhookDeliverySummary, @Args() { first, after }: PageArgs) {
    return toConnection(await this.webhookSender.pageOfAttempts(delivery, { first, after }));
  }

  @Authorized('tasks:write')
  @Mutation(() => RedeliverWebhookPayload, {
    description:
      'Posts the results of a task to its `webhookUrl` again at once, with up to eight new attempts. It works for results that are pending, delivered or abandoned. The `webhook-id` stays the same. Requires the scope `tasks:write`.',
  })
  redeliverWebhook(
    @Ctx() { caller }: Context,
    @Arg('input', () => RedeliverWebhookInput, { description: 'The task whose results to post.' })
    { taskId }: RedeliverWebhookInput,
  ) {
    return withUserErrors(async () => ({
      task: await this.webhookSender.redeliver(caller, taskId),
    }));
  }
}
