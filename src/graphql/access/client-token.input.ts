import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, Int, ObjectType } from 'type-graphql';
import { LimitsType } from '../limits/limits.type.js';
import { UserErrorType } from '../relay/user-error.type.js';

@InputType('CreateClientTokenInput', { description: 'A token that a browser is to be given.' })
export class CreateClientTokenInput {
  @Field(() => [String], {
    description:
      'What it may do, of tasks:read, tasks:write, images:write and audit:read; nothing that the key which makes it may not do.',
  })
  scopes!: string[];

  @Field(() => String, {
    nullable: true,
    description:
      'Whose it is, by whatever name the workspace has for its users, 1 to 255 characters: it sees and makes only what is theirs. Absent: it sees what everybody in the workspace has.',
  })
  endUserId?: string | null;

  @Field(() => [ID], {
    nullable: true,
    description: 'The tasks that it may see, 1 to 100; then it makes nothing new. Absent: all.',
  })
  taskIds?: string[] | null;

  @Field(() => Int, {
    nullable: true,
    description: 'Seconds until it is refused; 60 to 86400 (a day), default 3600. Never longer than the key.',
  })
  expiresInSeconds?: number | null;

  @Field(() => LimitsType, {
    nullable: true,
    description:
      'How much it may do; nothing above the limits of the key, which hold too. Absent: those alone.',
  })
  limits?: LimitsType | null;
}

@ObjectType('CreateClientTokenPayload', {
  description: 'The answer to createClientToken.',
  simpleResolvers: true,
})
export class CreateClientTokenPayload {
  @Field(() => String, {
    nullable: true,
    description:
      'To be sent as a key is: `Authorization: Bearer …`. It is kept nowhere. Null when there are userErrors.',
  })
  token!: string | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'From when it is refused; null when there are userErrors.',
  })
  expiresAt!: Date | null;

  @Field(() => [UserErrorType], { description: 'Everything that is wrong with the input; empty on success.' })
  userErrors!: readonly UserErrorType[];
}
