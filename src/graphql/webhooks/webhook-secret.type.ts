import { GraphQLDateTime } from 'graphql-scalars';
import { Field, InputType, Int, ObjectType } from 'type-graphql';
import { type WebhookSecret } from '../../services/webhooks/webhook-secrets.js';
import { UserErrorType } from '../relay/user-error.type.js';

@ObjectType('WebhookSecret', {
  description: "What the workspace's callbacks are signed with, by Standard Webhooks.",
  simpleResolvers: true,
})
export class WebhookSecretType {
  @Field(() => String, { description: 'Give it to your receivers: `whsec_` and 32 bytes in base64.' })
  secret!: string;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'Until when callbacks are signed with the secret before this one, too. Null: they are not.',
  })
  previousUntil!: Date | null;
}

@InputType('RotateWebhookSecretInput', { description: 'How to change the secret.' })
export class RotateWebhookSecretInput {
  @Field(() => Int, {
    nullable: true,
    description:
      'Seconds for which the present secret still signs beside the new one; 0 to 604800 (a week), default 86400 (a day).',
  })
  overlapSeconds?: number | null;
}

@ObjectType('RotateWebhookSecretPayload', {
  description: 'The answer to rotateWebhookSecret.',
  simpleResolvers: true,
})
export class RotateWebhookSecretPayload {
  @Field(() => WebhookSecretType, {
    nullable: true,
    description: 'The new one; null when there are userErrors.',
  })
  webhookSecret!: WebhookSecret | null;

  @Field(() => [UserErrorType], { description: 'Everything that is wrong with the input; empty on success.' })
  userErrors!: readonly UserErrorType[];
}
