import { Arg, Authorized, Ctx, Mutation, Resolver } from 'type-graphql';
import { ClientTokens } from '../../services/access/client-tokens.js';
import { withUserErrors } from '../relay/payload.type.js';
import { type Context } from '../server/context.js';
import { CreateClientTokenInput, CreateClientTokenPayload } from './client-token.input.js';

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
    @Arg('input', () => CreateClientTokenInput, {
      description: 'Scopes, visibility, lifetime and limits of the token.',
    })
    input: CreateClientTokenInput,
  ) {
    return withUserErrors(() => this.clientTokens.create(caller, input));
  }
}
