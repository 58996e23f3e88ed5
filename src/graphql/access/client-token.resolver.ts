import { Arg, Authorized, Ctx, Mutation, Resolver } from 'type-graphql';
import { ClientTokens } from '../../services/access/client-tokens.js';
import { CreateClientTokenInput, CreateClientTokenPayload } from './client-token.input.js';
import { type Context } from '../server/context.js';
import { withUserErrors } from '../relay/user-error.type.js';

@Resolver()
export class ClientTokenResolver {
  constructor(private readonly clientTokens: ClientTokens) {}

  // The least scope that there is: a token can do nothing that its key cannot, so every key may make some.
  @Authorized('tasks:read')
  @Mutation(() => CreateClientTokenPayload, {
    description:
      'Makes a token for a browser: for a short time, for one end user or for certain tasks, and never for more than the key may do. It ends with the key. Scope tasks:read, and a key: a token makes no tokens.',
  })
  createClientToken(
    @Ctx() { caller }: Context,
    @Arg('input', () => CreateClientTokenInput, { description: 'What it may do, whose it is, how long.' })
    input: CreateClientTokenInput,
  ) {
    return withUserErrors({ token: null, expiresAt: null }, () => this.clientTokens.create(caller, input));
  }
}
