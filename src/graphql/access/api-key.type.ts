import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, ObjectType } from 'type-graphql';
import { type Scope } from '../../core/access/caller.js';
import { type Limits } from '../../core/limits/limits.js';
import { LimitsType } from '../limits/limits.type.js';

@ObjectType('ApiKey', {
  description:
    'A key to the workspace. The key itself was shown once, when it was made, and is kept nowhere.',
  simpleResolvers: true,
})
export class ApiKeyType {
  @Field(() => ID, { description: 'The id of the key; no secret.' })
  id!: string;

  @Field(() => String, { description: 'What people call it: the `actor` of what it causes.' })
  name!: string;

  @Field(() => String, { description: 'Its first characters, by which a person recognises it.' })
  prefix!: string;

  @Field(() => String, { nullable: true, description: 'Its last four characters.' })
  lastFour!: string | null;

  @Field(() => [String], { description: 'What it may do, such as "tasks:write".' })
  scopes!: readonly Scope[];

  @Field(() => LimitsType, { description: 'How much of it.' })
  limits!: Limits;

  @Field(() => GraphQLDateTime, { description: 'When it was made.' })
  createdAt!: Date;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'From when it is refused; null: never.' })
  expiresAt!: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When it was revoked; null: it was not.' })
  revokedAt!: Date | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'When it was used last, to about a minute; null: never.',
  })
  lastUsedAt!: Date | null;
}
