import { Args, FieldResolver, Resolver, Root } from 'type-graphql';
import { type Task } from '../../core/tasks/task.js';
import { WebhookSender } from '../../services/webhooks/webhook-sender.js';
import { toConnection } from '../relay/connection.type.js';
import { PageArgs } from '../relay/page-args.js';
import { TaskType } from '../tasks/task.type.js';
import { WebhookDeliveryConnection } from './webhook-delivery.type.js';

/** The fields that webhooks add to a task. */
@Resolver(() => TaskType)
export class TaskWebhooksResolver {
  constructor(private readonly webhookSender: WebhookSender) {}

  @FieldResolver(() => WebhookDeliveryConnection, {
    description:
      'Deliveries of results to `webhookUrl`, newest first. Empty if the task has no `webhookUrl` or no result yet.',
  })
  async webhookDeliveries(@Root() task: Task, @Args() { first, after }: PageArgs) {
    return toConnection(await this.webhookSender.pageOfDeliveries(task, { first, after }));
  }
}
