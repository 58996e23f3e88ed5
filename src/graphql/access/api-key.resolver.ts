import { Args, Authorized, Ctx, Mutation, Query, Resolver } from 'type-graphql';
import { type ApiKeyRequest, ApiKeys } from '../../services/access/api-keys.js';
import { toConnection } from '../relay/connection.type.js';
import { PageArgs } from '../relay/page-args.js';
import { withUserErrors } from '../relay/payload.type.js';
import { Input } from '../server/argument-decorators.js';
import { type Context } from '../server/context.js';
import {
  ApiKeyConnection,
  ApiKeyType,
  CreateApiKeyInput,
  CreateApiKeyPayload,
  RevokeApiKeyInput,
  RevokeApiKeyPayload,
  RotateApiKeyInput,
  RotateApiKeyPayload,
} from './api-key.type.js';
import { CreateWorkspaceInput, CreateWorkspacePayload } from './workspace.type.js';

@Resolver(() => ApiKeyType)
export class ApiKeyResolver {
  constructor(private readonly apiKeyService: ApiKeys) {}

  @Authorized('keys:admin')
  @Query(() => ApiKeyConnection, {
    description:
      'API keys of the workspace, newest first, including expired and revoked ones. Requires the scope `keys:admin`.',
  })
  async apiKeys(@Ctx() { caller }: Context, @Args() page: PageArgs) {
    return toConnection(await this.apiKeyService.page(caller, page));
  }

  @Authorized('keys:admin')
  @Mutation(() => CreateApiKeyPayload, {
    description:
      'Creates an API key for the workspace. Only this response contains the key itself. Requires the scope `keys:admin`.',
  })
  createApiKey(
    @Ctx() { caller }: Context,
    @Input(CreateApiKeyInput, 'Name, scopes, expiry and limits of the key.') input: ApiKeyRequest,
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
    @Input(RevokeApiKeyInput, 'The key to revoke.') { id }: InstanceType<typeof RevokeApiKeyInput>,
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
    @Input(RotateApiKeyInput, 'The key to replace, and the grace period.')
    { id, gracePeriodSeconds }: InstanceType<typeof RotateApiKeyInput>,
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
    @Input(CreateWorkspaceInput, 'Name of the workspace and scopes of its first API key.')
    { name, scopes }: InstanceType<typeof CreateWorkspaceInput>,
  ) {
    return withUserErrors(() => this.apiKeyService.createWorkspace(caller, name, scopes));
  }
}
