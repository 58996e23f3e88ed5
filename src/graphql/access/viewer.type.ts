import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, ObjectType } from 'type-graphql';
import { type Scope } from '../../core/access/caller.js';

@ObjectType('Viewer', {
  description: 'Who is asking: a key, or a token that a key made.',
  simpleResolvers: true,
})
export class ViewerType {
  @Field(() => ID, { description: 'The workspace that owns everything this key sees and makes.' })
  workspaceId!: string;

  @Field(() => String, { description: "The workspace's name." })
  workspaceName!: string;

  @Field(() => ID, { description: 'The id of the key; of a token, the key that made it.' })
  keyId!: string;

  @Field(() => String, { description: "The key's name: the `actor` of what it causes." })
  keyName!: string;

  @Field(() => String, { description: "The key's first characters, by which a person recognises it." })
  keyPrefix!: string;

  @Field(() => [String], { description: 'What the key may do, such as "tasks:write".' })
  scopes!: readonly Scope[];

  @Field(() => String, {
    nullable: true,
    description: 'Whose the token is: it sees and makes only what is theirs. Null: it is for everybody.',
  })
  endUserId!: string | null;

  @Field(() => [ID], { nullable: true, description: 'The tasks that the token may see. Null: all.' })
  taskIds!: readonly string[] | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'From when it is refused; null: never.' })
  expiresAt!: Date | null;
}
