import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, Int, ObjectType } from 'type-graphql';
import { type ApiKey, type Workspace } from '../../services/access/api-keys.js';
import { ApiKeyType } from './api-key.type.js';
import { LimitsType } from '../limits/limits.type.js';
import { UserErrorType } from '../relay/user-error.type.js';
import { WorkspaceType } from './workspace.type.js';

@InputType('CreateApiKeyInput', { description: 'A key that is to be made.' })
export class CreateApiKeyInput {
  @Field(() => String, { description: 'For people, 1 to 100 characters: the `actor` of what it causes.' })
  name!: string;

  @Field(() => [String], {
    description: 'What it may do, such as "tasks:write"; nothing that the key which makes it may not do.',
  })
  scopes!: string[];

  @Field(() => GraphQLDateTime, { nullable: true, description: 'From when it is refused; absent: never.' })
  expiresAt?: Date | null;

  @Field(() => LimitsType, { nullable: true, description: 'How much it may do; absent: no limits.' })
  limits?: LimitsType | null;
}

@InputType('RevokeApiKeyInput', { description: 'Which key to end.' })
export class RevokeApiKeyInput {
  @Field(() => ID, { description: 'The id of the key.' })
  id!: string;
}

@InputType('RotateApiKeyInput', { description: 'Which key to replace.' })
export class RotateApiKeyInput {
  @Field(() => ID, { description: 'The id of the key.' })
  id!: string;

  @Field(() => Int, {
    nullable: true,
    description: 'Seconds for which the old key is still good; 0 to 604800 (a week), default 3600 (an hour).',
  })
  graceSeconds?: number | null;
}

@InputType('CreateWorkspaceInput', { description: 'A workspace that is to be made, and its first key.' })
export class CreateWorkspaceInput {
  @Field(() => String, { description: 'For people, 1 to 100 characters.' })
  name!: string;

  @Field(() => [String], {
    description: 'What its first key may do; nothing that the key which makes it may not do.',
  })
  scopes!: string[];
}

@ObjectType('CreateApiKeyPayload', { description: 'The answer to createApiKey.', simpleResolvers: true })
export class CreateApiKeyPayload {
  @Field(() => ApiKeyType, { nullable: true, description: 'The key; null when there are userErrors.' })
  apiKey!: ApiKey | null;

  @Field(() => String, {
    nullable: true,
    description: 'The key itself, shown this once; null when there are userErrors.',
  })
  secret!: string | null;

  @Field(() => [UserErrorType], { description: 'Everything that is wrong with the input; empty on success.' })
  userErrors!: readonly UserErrorType[];
}

@ObjectType('RotateApiKeyPayload', { description: 'The answer to rotateApiKey.', simpleResolvers: true })
export class RotateApiKeyPayload {
  @Field(() => ApiKeyType, {
    nullable: true,
    description: 'The key that takes the place of the old one; null when there are userErrors.',
  })
  apiKey!: ApiKey | null;

  @Field(() => String, {
    nullable: true,
    description: 'The new key itself, shown this once; null when there are userErrors.',
  })
  secret!: string | null;

  @Field(() => [UserErrorType], { description: 'Everything that is wrong with the input; empty on success.' })
  userErrors!: readonly UserErrorType[];
}

@ObjectType('RevokeApiKeyPayload', { description: 'The answer to revokeApiKey.', simpleResolvers: true })
export class RevokeApiKeyPayload {
  @Field(() => ApiKeyType, { nullable: true, description: 'The key; null when there are userErrors.' })
  apiKey!: ApiKey | null;

  @Field(() => [UserErrorType], { description: 'Everything that is wrong with the input; empty on success.' })
  userErrors!: readonly UserErrorType[];
}

@ObjectType('CreateWorkspacePayload', {
  description: 'The answer to createWorkspace.',
  simpleResolvers: true,
})
export class CreateWorkspacePayload {
  @Field(() => WorkspaceType, {
    nullable: true,
    description: 'The workspace; null when there are userErrors.',
  })
  workspace!: Workspace | null;

  @Field(() => ApiKeyType, { nullable: true, description: 'Its first key; null when there are userErrors.' })
  apiKey!: ApiKey | null;

  @Field(() => String, {
    nullable: true,
    description: 'That key itself, shown this once; null when there are userErrors.',
  })
  secret!: string | null;

  @Field(() => [UserErrorType], { description: 'Everything that is wrong with the input; empty on success.' })
  userErrors!: readonly UserErrorType[];
}
