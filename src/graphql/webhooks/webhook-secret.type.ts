import { GraphQLDateTime } from 'graphql-scalars';
import { Field, InputType, Int, ObjectType } from 'type-graphql';
import { createPayloadType } from '../relay/payload.type.js';

@ObjectType('WebhookSecret', {
  description:
    "Secret that signs the workspace's webhooks, as defined by Standard Webhooks (https://www.standardwebhooks.com).",
  simpleResolvers: true,
})
export class WebhookSecretType {
  @Field(() => String, {
    description: '`whsec_` followed by 32 bytes in base64. Webhook endpoints verify signatures with it.',
  })
  secret!: string;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description:
      'Time until which webhooks are also signed with the previous secret. Null if they are signed with one secret only.',
  })
  previousSecretExpiresAt!: Date | null;
}

@InputType('RotateWebhookSecretInput', { description: 'Input for replacing the webhook secret.' })
export class RotateWebhookSecretInput {
  @Field(() => Int, {
    nullable: true,
    description:
      'Seconds for which webhooks are also signed with the previous secret, from 0 to 604800 (a week). Default: 86400 (a day).',
  })
  gracePeriodSeconds?: number | null;
}

export const RotateWebhookSecretPayload = createPayloadType('rotateWebhookSecret', {
  webhookSecret: [WebhookSecretType, 'The new secret.'],
});
