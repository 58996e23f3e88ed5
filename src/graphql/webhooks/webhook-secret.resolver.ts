import { GraphQLDateTime } from 'graphql-scalars';
import { Authorized, Ctx, Int, Mutation, Query, Resolver } from 'type-graphql';
import { type WebhookSecret, WebhookSecrets } from '../../services/webhooks/webhook-secrets.js';
import { createPayloadType, onSuccess, withUserErrors } from '../relay/payload.type.js';
import { Input } from '../server/argument-decorators.js';
import { type Context } from '../server/context.js';
import { createInputType, createObjectType, field, nullable } from '../server/schema-types.js';

const WebhookSecretType = createObjectType<WebhookSecret>(
  'WebhookSecret',
  "Secret that signs the workspace's webhooks, as defined by Standard Webhooks (https://www.standardwebhooks.com).",
  {
    secret: field(
      String,
      '`whsec_` followed by 32 bytes in base64. Webhook endpoints verify signatures with it.',
    ),
    previousSecretExpiresAt: nullable(
      GraphQLDateTime,
      'Time until which webhooks are also signed with the previous secret. Null if they are signed with one secret only.',
    ),
  },
);

const RotateWebhookSecretInput = createInputType<{ gracePeriodSeconds?: number | null }>(
  'RotateWebhookSecretInput',
  'Input for replacing the webhook secret.',
  {
    gracePeriodSeconds: nullable(
      Int,
      'Seconds for which webhooks are also signed with the previous secret, from 0 to 604800 (a week). Default: 86400 (a day).',
    ),
  },
);

const RotateWebhookSecretPayload = createPayloadType('rotateWebhookSecret', {
  webhookSecret: onSuccess(WebhookSecretType, 'The new secret.'),
});

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
      'Replaces the secret that signs webhooks. During the grace period, webhooks carry a signature with each of the two secrets, so that endpoints can switch to the new one. Requires the scope `keys:admin`.',
  })
  rotateWebhookSecret(
    @Ctx() { caller }: Context,
    @Input(RotateWebhookSecretInput, 'The grace period.')
    { gracePeriodSeconds }: InstanceType<typeof RotateWebhookSecretInput>,
  ) {
    return withUserErrors(async () => ({
      webhookSecret: await this.webhookSecrets.rotate(caller, gracePeriodSeconds ?? null),
    }));
  }
}
