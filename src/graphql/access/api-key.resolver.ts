import { Arg, Args, Authorized, Ctx, Mutation, Query, Resolver } from 'type-graphql';
import { ApiKeys } from '../../services/access/api-keys.js';
import { toConnection } from '../relay/connection.type.js';
import { PageArgs } from '../relay/page-args.js';
import { withUserErrors } from '../relay/payload.type.js';
import { type Context } from '../server/context.js';
import {
  CreateApiKeyInput,
  CreateApiKeyPayload,
  RevokeApiKeyInput,
  RevokeApiKeyPayload,
  RotateApiKeyInput,
  RotateApiKeyPayload,
} from './api-key.input.js';
import { ApiKeyConnection, ApiKeyType } from './api-key.type.js';
import { CreateWorkspaceInput, CreateWorkspacePayload } from './workspace.type.js';

@Resolver(() => ApiKeyType)
export class ApiKeyResolver {
  constructor(private readonly apiKeyService: ApiKeys) {}

  @Authorized('keys:admin')
  @Query(() => ApiKeyConnection, {
    description:
      'API keys of the workspace, newest first, including expired and revoked ones. Requires the scope `keys:admin`.',
  })
  async apiKeys(@Ctx() { caller }: Context, @Args() { first, after }: PageArgs) {
    return toConnection(await this.apiKeyService.page(caller, { first, after }));
  }

  @Authorized('keys:admin')
  @Mutation(() => CreateApiKeyPayload, {
    description:
      'Creates an API key for the workspace. Only this response contains the key itself. Requires the scope `keys:admin`.',
  })
  createApiKey(
    @Ctx() { caller }: Context,
    @Arg('input', () => CreateApiKeyInput, { description: 'Name, scopes, expiry and limits of the key.' })
    input: CreateApiKeyInput,
  ) {
    return withUserErrors(() => this.apiKeyService.create(caller, input));
  }

  @Authorized('keys:admin')
  @Mutation(() => RevokeApiKeyPayload, {
    description:
      'Revokes an API key. Within 5 seconds, every instance rejects the key and its client tokens, and closes their streams. Revoking a revoked key changes nothing. Requires the scope `keys:admin`.',
  })
  revokeApiKey(
    @Ctx() { caller }: Context,
    @Arg('input', () => RevokeApiKeyInput, { description: 'The key to revoke.' }) { id }: RevokeApiKeyInput,
  ) {
    return withUserErrors(() => this.apiKeyService.revoke(caller, id));
  }

  @Authorized('keys:admin')
  @Mutation(() => RotateApiKeyPayload, {
    description:
      'Creates an API key with the name, scopes, limits and expiry of an existing one, but with its own ID. The existing key stays valid for the grace period. Requires the scope `keys:admin` and every scope of the key.',
  })
  rotateApiKey(
    @Ctx() { caller }: Context,
    @Arg('input', () => RotateApiKeyInput, { description: 'The key to replace, and the grace period.' })
    { id, gracePeriodSeconds }: RotateApiKeyInput,
  ) {
    return withUserErrors(() => this.apiKeyService.rotate(caller, id, gracePeriodSeconds ?? null));
  }

  @Authorized('workspaces:admin')
  @Mutation(() => CreateWorkspacePayload, {
    description:
      'Creates another workspace and its first API key. Only this response contains the key itself. Requires the scope `workspaces:admin`.',
  })
  createWorkspace(
    @Ctx() { caller }: Context,
    @Arg('input', () => CreateWorkspaceInput, {
      description: 'Name of the workspace and scopes of its first API key.',
    })
    { name, scopes }: CreateWorkspaceInput,
  ) {
    return withUserErrors(() => this.apiKeyService.createWorkspace(caller, name, scopes));
  }
}
