import { Arg, Authorized, Ctx, FieldResolver, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { type Task } from '../../core/tasks/task.js';
import { Delivering } from '../../services/webhooks/webhook-sender.js';
import { type WebhookSecret, WebhookSecrets } from '../../services/webhooks/webhook-secrets.js';
import { DeliveryConnection, toConnection } from '../relay/connection.type.js';
import { type Context } from '../server/context.js';
import { RedeliverCallbackInput, RedeliverCallbackPayload } from './redeliver-webhook.input.js';
import { TaskType } from '../tasks/task.type.js';
import { withUserErrors } from '../relay/user-error.type.js';
import {
  RotateWebhookSecretInput,
  RotateWebhookSecretPayload,
  WebhookSecretType,
} from './webhook-secret.type.js';

@Resolver(() => TaskType)
export class DeliveryResolver {
  constructor(
    private readonly delivering: Delivering,
    private readonly secrets: WebhookSecrets,
  ) {}

  @FieldResolver(() => DeliveryConnection, {
    description: "Attempts to deliver the task's result to its callbackUrl, newest first.",
  })
  async deliveries(
    @Root() task: Task,
    @Arg('first', () => Int, { defaultValue: 20, description: 'How many, 1 to 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'endCursor of the page before.' })
    after: string | null,
  ) {
    return toConnection(await this.delivering.page(task, first, after ?? null));
  }

  @Authorized('tasks:write')
  @Mutation(() => RedeliverCallbackPayload, {
    description:
      "Posts a task's result to its callbackUrl again, now, with the same webhook-id and all attempts anew; also one that was delivered or abandoned.",
  })
  redeliverCallback(
    @Ctx() { caller }: Context,
    @Arg('input', () => RedeliverCallbackInput, { description: 'Which task.' })
    { id }: RedeliverCallbackInput,
  ) {
    return withUserErrors({ task: null }, async () => ({
      task: await this.delivering.redeliver(caller, id),
    }));
  }

  @Authorized('keys:admin')
  @Query(() => WebhookSecretType, {
    description: "What the workspace's callbacks are signed with. Scope keys:admin.",
  })
  webhookSecret(@Ctx() { caller }: Context): Promise<WebhookSecret> {
    return this.secrets.current(caller);
  }

  @Authorized('keys:admin')
  @Mutation(() => RotateWebhookSecretPayload, {
    description:
      'A new secret for callbacks. The present one signs beside it for a while, so that receivers can change over. Scope keys:admin.',
  })
  rotateWebhookSecret(
    @Ctx() { caller }: Context,
    @Arg('input', () => RotateWebhookSecretInput, { description: 'How.' })
    { overlapSeconds }: RotateWebhookSecretInput,
  ) {
    return withUserErrors({ webhookSecret: null }, async () => ({
      webhookSecret: await this.secrets.rotate(caller, overlapSeconds ?? null),
    }));
  }
}
