import { GraphQLDateTime } from 'graphql-scalars';
import { ID } from 'type-graphql';
import { SCOPES } from '../../core/access/caller.js';
import { type Workspace } from '../../services/access/api-keys.js';
import { createPayloadType, onSuccess } from '../relay/payload.type.js';
import { createInputType, createObjectType, field } from '../server/schema-types.js';
import { ApiKeyType } from './api-key.type.js';

const WorkspaceType = createObjectType<Workspace>(
  'Workspace',
  'A tenant that owns API keys, tasks and images. No workspace can see the data of another.',
  {
    id: field(ID, 'ID of the workspace.'),
    name: field(String, 'Display name. It need not be unique.'),
    createdAt: field(GraphQLDateTime, 'Time when the workspace was created.'),
  },
);

export const CreateWorkspaceInput = createInputType<{ name: string; scopes: string[] }>(
  'CreateWorkspaceInput',
  'Input for creating a workspace with its first API key.',
  {
    name: field(String, 'Display name, 1 to 100 characters.'),
    scopes: field(
      [String],
      `Scopes of the workspace's first API key: one or more of ${SCOPES.join(', ')}. The caller cannot grant a scope that it does not have.`,
    ),
  },
);

export const CreateWorkspacePayload = createPayloadType('createWorkspace', {
  workspace: onSuccess(WorkspaceType, 'The new workspace.'),
  apiKey: onSuccess(ApiKeyType, "The workspace's first API key."),
  secret: onSuccess(String, 'The API key itself. It is shown only here.'),
});
