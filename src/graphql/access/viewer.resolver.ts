import { GraphQLDateTime } from 'graphql-scalars';
import { Authorized, Ctx, ID, Query, Resolver } from 'type-graphql';
import { type Caller } from '../../core/access/caller.js';
import { type Context } from '../server/context.js';
import { createObjectType, field, nullable } from '../server/schema-types.js';

const ViewerType = createObjectType<Caller>(
  'Viewer',
  'The caller: an API key, a client token, or a token of the configured identity provider.',
  {
    workspaceId: field(ID, 'ID of the workspace that owns everything the caller sees and creates.'),
    workspaceName: field(String, 'Name of the workspace.'),
    keyId: field(
      ID,
      'ID of the API key. A client token has the ID of the API key that created it. A token of the identity provider has an ID that stands for the provider.',
    ),
    keyName: field(
      String,
      'Name of the API key, as in the `actor` of events and audit entries. "identity provider" for a token of the identity provider.',
    ),
    keyPrefix: field(
      String,
      'First 9 characters of the API key. They help you tell keys apart and are not secret. Empty for a token of the identity provider.',
    ),
    scopes: field([String], 'Scopes of the caller, such as "tasks:write".'),
    endUserId: nullable(
      String,
      'End user whose tasks and images the caller is limited to. Null if the caller is not limited to an end user.',
    ),
    taskIds: nullable(
      [ID],
      'IDs of the tasks that the caller is limited to. Null if the caller is not limited to certain tasks.',
    ),
    expiresAt: nullable(
      GraphQLDateTime,
      'Time when the API key or token expires. Null if it does not expire.',
    ),
  },
);

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
