import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, Int } from 'type-graphql';
import { CLIENT_TOKEN_SCOPES } from '../../core/access/caller.js';
import { LimitsType } from '../limits/limits.type.js';
import { createPayloadType } from '../relay/payload.type.js';

@InputType('CreateClientTokenInput', { description: 'Input for creating a client token.' })
export class CreateClientTokenInput {
  @Field(() => [String], {
    description: `Scopes of the token: one or more of ${CLIENT_TOKEN_SCOPES.join(', ')}. The API key cannot grant a scope that it does not have.`,
  })
  scopes!: string[];

  @Field(() => String, {
    nullable: true,
    description:
      'Your own ID of the end user that the token is for, 1 to 255 characters. The token then sees and creates only what belongs to that end user. Omitted: it sees the whole workspace.',
  })
  endUserId?: string | null;

  @Field(() => [ID], {
    nullable: true,
    description:
      'IDs of the tasks that the token may see, 1 to 100. The token then cannot create anything. Omitted: all tasks.',
  })
  taskIds?: string[] | null;

  @Field(() => Int, {
    nullable: true,
    description:
      'Seconds until the token expires, from 60 to 86400 (a day). Default: 3600 (an hour). A token never outlives its API key.',
  })
  expiresInSeconds?: number | null;

  @Field(() => LimitsType, {
    nullable: true,
    description:
      'Usage limits for the token. They must not exceed the limits of its API key, which apply as well. Omitted: only the limits of the key apply.',
  })
  limits?: LimitsType | null;
}

export const CreateClientTokenPayload = createPayloadType('createClientToken', {
  token: [
    String,
    'The token itself. It is sent like an API key: `Authorization: Bearer …`. It is shown only here and is not stored.',
  ],
  expiresAt: [GraphQLDateTime, 'Time when the token expires.'],
});
