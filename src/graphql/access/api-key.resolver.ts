import { Arg, Authorized, Ctx, Int, Mutation, Query, Resolver } from 'type-graphql';
import { KeyAdministration } from '../../services/access/api-keys.js';
import {
  CreateApiKeyInput,
  CreateApiKeyPayload,
  CreateWorkspaceInput,
  CreateWorkspacePayload,
  RevokeApiKeyInput,
  RevokeApiKeyPayload,
  RotateApiKeyInput,
  RotateApiKeyPayload,
} from './api-key.input.js';
import { ApiKeyType } from './api-key.type.js';
import { ApiKeyConnection, toConnection } from '../relay/connection.type.js';
import { type Context } from '../server/context.js';
import { withUserErrors } from '../relay/user-error.type.js';

@Resolver(() => ApiKeyType)
export class ApiKeyResolver {
  constructor(private readonly administration: KeyAdministration) {}

  @Authorized('keys:admin')
  @Query(() => ApiKeyConnection, {
    description:
      "The workspace's keys, newest first, also those that are not good any more. Scope keys:admin.",
  })
  async apiKeys(
    @Ctx() { caller }: Context,
    @Arg('first', () => Int, { defaultValue: 20, description: 'How many, 1 to 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'endCursor of the page before.' })
    after: string | null,
  ) {
    return toConnection(await this.administration.page(caller, first, after ?? null));
  }

  @Authorized('keys:admin')
  @Mutation(() => CreateApiKeyPayload, {
    description: 'Makes a key to the workspace and shows it, this once. Scope keys:admin.',
  })
  createApiKey(
    @Ctx() { caller }: Context,
    @Arg('input', () => CreateApiKeyInput, { description: 'What it may do, and how long.' })
    input: CreateApiKeyInput,
  ) {
    const refused = { apiKey: null, secret: null };
    return withUserErrors(refused, () => this.administration.create(caller, input));
  }

  @Authorized('keys:admin')
  @Mutation(() => RevokeApiKeyPayload, {
    description:
      'Ends a key: within 5 s no instance takes it, and its streams and those of its tokens end. One that was revoked before stays so. Scope keys:admin.',
  })
  revokeApiKey(
    @Ctx() { caller }: Context,
    @Arg('input', () => RevokeApiKeyInput, { description: 'Which key.' }) { id }: RevokeApiKeyInput,
  ) {
    return withUserErrors({ apiKey: null }, () => this.administration.revoke(caller, id));
  }

  @Authorized('keys:admin')
  @Mutation(() => RotateApiKeyPayload, {
    description:
      'A new secret under the same name, with the same scopes, limits and end, as a key with an id of its own; the old one is good for a while yet. Scope keys:admin, and every scope of the key.',
  })
  rotateApiKey(
    @Ctx() { caller }: Context,
    @Arg('input', () => RotateApiKeyInput, { description: 'Which key, and for how long both are good.' })
    { id, graceSeconds }: RotateApiKeyInput,
  ) {
    const refused = { apiKey: null, secret: null };
    return withUserErrors(refused, () => this.administration.rotate(caller, id, graceSeconds ?? null));
  }

  @Authorized('workspaces:admin')
  @Mutation(() => CreateWorkspacePayload, {
    description: 'Makes another workspace, and the first key to it, shown this once. Scope workspaces:admin.',
  })
  createWorkspace(
    @Ctx() { caller }: Context,
    @Arg('input', () => CreateWorkspaceInput, { description: 'Its name, and what its first key may do.' })
    { name, scopes }: CreateWorkspaceInput,
  ) {
    const refused = { workspace: null, apiKey: null, secret: null };
    return withUserErrors(refused, () => this.administration.createWorkspace(caller, name, scopes));
  }
}
