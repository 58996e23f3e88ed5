import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, ObjectType } from 'type-graphql';
import { SCOPES } from '../../core/access/caller.js';
import { createPayloadType } from '../relay/payload.type.js';
import { ApiKeyType } from './api-key.type.js';

@ObjectType('Workspace', {
  description: 'A tenant that owns API keys, tasks and images. No workspace can see the data of another.',
  simpleResolvers: true,
})
class WorkspaceType {
  @Field(() => ID, { description: 'ID of the workspace.' })
  id!: string;

  @Field(() => String, { description: 'Display name. It need not be unique.' })
  name!: string;

  @Field(() => GraphQLDateTime, { description: 'Time when the workspace was created.' })
  createdAt!: Date;
}

@InputType('CreateWorkspaceInput', { description: 'Input for creating a workspace with its first API key.' })
export class CreateWorkspaceInput {
  @Field(() => String, { description: 'Display name, 1 to 100 characters.' })
  name!: string;

  @Field(() => [String], {
    description: `Scopes of the workspace's first API key: one or more of ${SCOPES.join(', ')}. The caller cannot grant a scope that it does not have.`,
  })
  scopes!: string[];
}

export const CreateWorkspacePayload = createPayloadType('createWorkspace', {
  workspace: [WorkspaceType, 'The new workspace.'],
  apiKey: [ApiKeyType, "The workspace's first API key."],
  secret: [String, 'The API key itself. It is shown only here.'],
});
