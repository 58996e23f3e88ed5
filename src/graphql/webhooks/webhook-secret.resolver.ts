import { Arg, Authorized, Ctx, Mutation, Query, Resolver } from 'type-graphql';
import { type WebhookSecret, WebhookSecrets } from '../../services/webhooks/webhook-secrets.js';
import { withUserErrors } from '../relay/payload.type.js';
import { type Context } from '../server/context.js';
import {
  RotateWebhookSecretInput,
  RotateWebhookSecretPayload,
  WebhookSecretType,
} from './webhook-secret.type.js';

@Resolver(() => WebhookSecretType)
export class WebhookSecretResolver {
  constructor(private readonly webhookSecrets: WebhookSecrets) {}

  @Authorized('keys:admin')
  @Query(() => WebhookSecretType, {
    description: "Secret that signs the workspace's webhooks. Requires the scope `keys:admin`.",
  })
  webhookSecret(@Ctx() { caller }: Context): Promise<WebhookSecret> {
    return this.webhookSecrets.current(caller);
  }

  @Authorized('keys:admin')
  @Mutation(() => RotateWebhookSecretPayload, {
    description:
      'Replaces the secret that signs webhooks. During the grace period, webhooks carry signatures of both secrets, so that endpoints can change to the new one. Requires the scope `keys:admin`.',
  })
  rotateWebhookSecret(
    @Ctx() { caller }: Context,
    @Arg('input', () => RotateWebhookSecretInput, { description: 'The grace period.' })
    { gracePeriodSeconds }: RotateWebhookSecretInput,
  ) {
    return withUserErrors(async () => ({
      webhookSecret: await this.webhookSecrets.rotate(caller, gracePeriodSeconds ?? null),
    }));
  }
}
