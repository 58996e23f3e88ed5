import { GraphQLDateTime } from 'graphql-scalars';
import { ID, Int } from 'type-graphql';
import { SCOPES } from '../../core/access/caller.js';
import { type ApiKey, type ApiKeyRequest } from '../../services/access/api-keys.js';
import { LimitsInput, LimitsType } from '../limits/limits.type.js';
import { createConnectionType } from '../relay/connection.type.js';
import { createPayloadType, onSuccess } from '../relay/payload.type.js';
import { createInputType, createObjectType, field, nullable } from '../server/schema-types.js';

export const ApiKeyType = createObjectType<ApiKey>(
  'ApiKey',
  'An API key of the workspace. The key itself is shown once, when it is created, and is not stored.',
  {
    id: field(ID, 'ID of the API key. It is not secret.'),
    lineageId: field(
      ID,
      'ID that the key shares with the keys that it replaced and that replaced it: the ID of the first of them. Budgets, rate limits and other limits of an API key count all of them together.',
    ),
    name: field(String, 'Display name, as in the `actor` of events and audit entries.'),
    prefix: field(
      String,
      'First 9 characters of the key, such as dk_AbC123. They help you tell keys apart and are not secret.',
    ),
    lastFour: nullable(
      String,
      'Last four characters of the key. Null if the key was created before they were recorded.',
    ),
    scopes: field([String], 'Scopes of the key, such as "tasks:write".'),
    limits: field(LimitsType, 'Usage limits for this key.'),
    createdAt: field(GraphQLDateTime, 'Time when the key was created.'),
    expiresAt: nullable(GraphQLDateTime, 'Time when the key expires. Null if it does not expire.'),
    revokedAt: nullable(GraphQLDateTime, 'Time when the key was revoked. Null if it was not revoked.'),
    lastUsedAt: nullable(
      GraphQLDateTime,
      'Time when the key was last used, accurate to about a minute. Null if it never was.',
    ),
  },
);

export const ApiKeyConnection = createConnectionType('ApiKey', ApiKeyType, 'API keys, newest first');

export const CreateApiKeyInput = createInputType<ApiKeyRequest>(
  'CreateApiKeyInput',
  'Input for creating an API key.',
  {
    name: field(
      String,
      'Display name, 1 to 100 characters. It becomes the `actor` of events and audit entries.',
    ),
    scopes: field(
      [String],
      `Scopes of the key: one or more of ${SCOPES.join(', ')}. The caller cannot grant a scope that it does not have.`,
    ),
    expiresAt: nullable(
      GraphQLDateTime,
      'Time when the key expires, in the future and at most ten years away. Omitted: it does not expire.',
    ),
    limits: nullable(LimitsInput, 'Usage limits for the key. Omitted: no limits of its own.'),
  },
);

export const RevokeApiKeyInput = createInputType<{ id: string }>(
  'RevokeApiKeyInput',
  'Input for revoking an API key.',
  { id: field(ID, 'ID of the API key.') },
);

export const RotateApiKeyInput = createInputType<{ id: string; gracePeriodSeconds?: number | null }>(
  'RotateApiKeyInput',
  'Input for replacing an API key.',
  {
    id: field(ID, 'ID of the API key to replace.'),
    gracePeriodSeconds: nullable(
      Int,
      'Seconds for which the old key stays valid, from 0 to 604800 (a week). Default: 3600 (an hour).',
    ),
  },
);

const NEW_KEY_FIELDS = {
  apiKey: onSuccess(ApiKeyType, 'The new API key.'),
  secret: onSuccess(String, 'The new API key itself. It is shown only here.'),
};
export const CreateApiKeyPayload = createPayloadType('createApiKey', NEW_KEY_FIELDS);
export const RotateApiKeyPayload = createPayloadType('rotateApiKey', NEW_KEY_FIELDS);
export const RevokeApiKeyPayload = createPayloadType('revokeApiKey', {
  apiKey: onSuccess(ApiKeyType, 'The revoked API key.'),
});
