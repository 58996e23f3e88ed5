import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, Int } from 'type-graphql';
import { SCOPES } from '../../core/access/caller.js';
import { LimitsType } from '../limits/limits.type.js';
import { createPayloadType, type PayloadFields } from '../relay/payload.type.js';
import { ApiKeyType } from './api-key.type.js';

@InputType('CreateApiKeyInput', { description: 'Input for creating an API key.' })
export class CreateApiKeyInput {
  @Field(() => String, {
    description: 'Display name, 1 to 100 characters. It becomes the `actor` of events and audit entries.',
  })
  name!: string;

  @Field(() => [String], {
    description: `Scopes of the key: one or more of ${SCOPES.join(', ')}. The caller cannot grant a scope that it does not have.`,
  })
  scopes!: string[];

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description:
      'Time when the key expires, in the future and at most ten years away. Omitted: it does not expire.',
  })
  expiresAt?: Date | null;

  @Field(() => LimitsType, {
    nullable: true,
    description: 'Usage limits for the key. Omitted: no limits of its own.',
  })
  limits?: LimitsType | null;
}

@InputType('RevokeApiKeyInput', { description: 'Input for revoking an API key.' })
export class RevokeApiKeyInput {
  @Field(() => ID, { description: 'ID of the API key.' })
  id!: string;
}

@InputType('RotateApiKeyInput', { description: 'Input for replacing an API key.' })
export class RotateApiKeyInput {
  @Field(() => ID, { description: 'ID of the API key to replace.' })
  id!: string;

  @Field(() => Int, {
    nullable: true,
    description:
      'Seconds for which the old key stays valid, from 0 to 604800 (a week). Default: 3600 (an hour).',
  })
  gracePeriodSeconds?: number | null;
}

const NEW_KEY_FIELDS: PayloadFields = {
  apiKey: [ApiKeyType, 'The new API key.'],
  secret: [String, 'The new API key itself. It is shown only here.'],
};
export const CreateApiKeyPayload = createPayloadType('createApiKey', NEW_KEY_FIELDS);
export const RotateApiKeyPayload = createPayloadType('rotateApiKey', NEW_KEY_FIELDS);
export const RevokeApiKeyPayload = createPayloadType('revokeApiKey', {
  apiKey: [ApiKeyType, 'The revoked API key.'],
});
