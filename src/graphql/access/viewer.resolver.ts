import { GraphQLDateTime } from 'graphql-scalars';
import { Authorized, Ctx, Field, ID, ObjectType, Query, Resolver } from 'type-graphql';
import { type Caller, type Scope } from '../../core/access/caller.js';
import { type Context } from '../server/context.js';

@ObjectType('Viewer', {
  description: 'The caller: an API key, a client token, or a token of the configured identity provider.',
  simpleResolvers: true,
})
class ViewerType {
  @Field(() => ID, { description: 'ID of the workspace that owns everything the caller sees and creates.' })
  workspaceId!: string;

  @Field(() => String, { description: 'Name of the workspace.' })
  workspaceName!: string;

  @Field(() => ID, {
    description:
      'ID of the API key. A client token has the ID of the API key that created it. A token of the identity provider has an ID that stands for the provider.',
  })
  keyId!: string;

  @Field(() => String, {
    description:
      'Name of the API key, as in the `actor` of events and audit entries. "identity provider" for a token of the identity provider.',
  })
  keyName!: string;

  @Field(() => String, {
    description:
      'First 9 characters of the API key. They help to recognize it and are not secret. Empty for a token of the identity provider.',
  })
  keyPrefix!: string;

  @Field(() => [String], { description: 'Scopes of the caller, such as "tasks:write".' })
  scopes!: readonly Scope[];

  @Field(() => String, {
    nullable: true,
    description:
      'End user whose tasks and images the caller is limited to. Null if the caller is not limited to an end user.',
  })
  endUserId!: string | null;

  @Field(() => [ID], {
    nullable: true,
    description:
      'IDs of the tasks that the caller is limited to. Null if the caller is not limited to certain tasks.',
  })
  taskIds!: readonly string[] | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'Time when the API key or token expires. Null if it does not expire.',
  })
  expiresAt!: Date | null;
}

@Resolver(() => ViewerType)
export class ViewerResolver {
  @Authorized()
  @Query(() => ViewerType, {
    description: "The caller's workspace, API key and scopes. Requires no scope.",
  })
  viewer(@Ctx() { caller }: Context): Caller {
    return caller;
  }
}
