import { GraphQLDateTime } from 'graphql-scalars';
import { Authorized, Ctx, ID, Int, Mutation, Resolver } from 'type-graphql';
import { CLIENT_TOKEN_SCOPES } from '../../core/access/caller.js';
import { type ClientTokenRequest, ClientTokens } from '../../services/access/client-tokens.js';
import { LimitsInput } from '../limits/limits.type.js';
import { createPayloadType, onSuccess, withUserErrors } from '../relay/payload.type.js';
import { Input } from '../server/argument-decorators.js';
import { type Context } from '../server/context.js';
import { createInputType, field, nullable } from '../server/schema-types.js';

const CreateClientTokenInput = createInputType<ClientTokenRequest>(
  'CreateClientTokenInput',
  'Input for creating a client token.',
  {
    scopes: field(
      [String],
      `Scopes of the token: one or more of ${CLIENT_TOKEN_SCOPES.join(', ')}. The API key cannot grant a scope that it does not have.`,
    ),
    endUserId: nullable(
      String,
      'Your own ID of the end user that the token is for, 1 to 255 characters. The token then sees and creates only what belongs to that end user. Omitted: it sees the whole workspace.',
    ),
    taskIds: nullable(
      [ID],
      'IDs of the tasks that the token may see, 1 to 100. The token then cannot create anything. Omitted: all tasks.',
    ),
    expiresInSeconds: nullable(
      Int,
      'Seconds until the token expires, from 60 to 86400 (a day). Default: 3600 (an hour). A token never outlives its API key.',
    ),
    limits: nullable(
      LimitsInput,
      'Usage limits for the token. They must not exceed the limits of its API key, which apply as well. Omitted: only the limits of the key apply.',
    ),
  },
);

const CreateClientTokenPayload = createPayloadType('createClientToken', {
  token: onSuccess(
    String,
    'The token itself. It is sent like an API key: `Authorization: Bearer <token>`. It is shown only here and is not stored.',
  ),
  expiresAt: onSuccess(GraphQLDateTime, 'Time when the token expires.'),
});

@Resolver()
export class ClientTokenResolver {
  constructor(private readonly clientTokens: ClientTokens) {}

  // The weakest scope. A token cannot do more than its key, so every key may create some.
  @Authorized('tasks:read')
  @Mutation(() => CreateClientTokenPayload, {
    description:
      'Creates a short-lived token for a browser, which can be limited to one end user or to certain tasks. It has no more permissions than its API key and becomes invalid with it. Requires an API key with the scope `tasks:read`. A client token cannot create tokens.',
  })
  createClientToken(
    @Ctx() { caller }: Context,
    @Input(CreateClientTokenInput, 'Scopes, visibility, lifetime and limits of the token.')
    input: ClientTokenRequest,
  ) {
    return withUserErrors(() => this.clientTokens.create(caller, input));
  }
}
