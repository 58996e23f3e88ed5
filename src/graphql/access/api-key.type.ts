import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, ObjectType } from 'type-graphql';
import { type Scope } from '../../core/access/caller.js';
import { type Limits } from '../../core/limits/limits.js';
import { LimitsType } from '../limits/limits.type.js';
import { createConnectionType } from '../relay/connection.type.js';

@ObjectType('ApiKey', {
  description:
    'An API key of the workspace. The key itself is shown once, when it is created, and is not stored.',
  simpleResolvers: true,
})
export class ApiKeyType {
  @Field(() => ID, { description: 'ID of the API key. It is not secret.' })
  id!: string;

  @Field(() => String, { description: 'Display name, as in the `actor` of events and audit entries.' })
  name!: string;

  @Field(() => String, {
    description:
      'First 9 characters of the key, such as dk_AbC123. They help to recognize it and are not secret.',
  })
  prefix!: string;

  @Field(() => String, {
    nullable: true,
    description: 'Last four characters of the key. Null if the key was created before they were recorded.',
  })
  lastFour!: string | null;

  @Field(() => [String], { description: 'Scopes of the key, such as "tasks:write".' })
  scopes!: readonly Scope[];

  @Field(() => LimitsType, { description: 'Usage limits for this key.' })
  limits!: Limits;

  @Field(() => GraphQLDateTime, { description: 'Time when the key was created.' })
  createdAt!: Date;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'Time when the key expires. Null if it does not expire.',
  })
  expiresAt!: Date | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'Time when the key was revoked. Null if it was not revoked.',
  })
  revokedAt!: Date | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'Time when the key was last used, accurate to about a minute. Null if it never was.',
  })
  lastUsedAt!: Date | null;
}

export const ApiKeyConnection = createConnectionType('ApiKey', ApiKeyType, 'API keys, newest first');
