import { GraphQLDateTime } from 'graphql-scalars';
import { Args, Authorized, Ctx, ID, Query, Resolver } from 'type-graphql';
import { type AuditAction, type AuditEntry } from '../../core/access/audit-entry.js';
import { Audit, type AuditFilter } from '../../services/access/audit.js';
import { createConnectionType, toConnection } from '../relay/connection.type.js';
import { PageArgs } from '../relay/page-args.js';
import { Filter } from '../server/argument-decorators.js';
import { type Context } from '../server/context.js';
import { JsonScalar } from '../server/json-scalar.js';
import {
  createEnumType,
  createInputType,
  createObjectType,
  field,
  nullable,
} from '../server/schema-types.js';

const AuditActionEnum = createEnumType<AuditAction>('AuditAction', 'Kind of an audit entry.', {
  API_KEY_CREATED: 'An API key was created. `data` holds its name and scopes.',
  API_KEY_REVOKED: 'An API key was revoked.',
  API_KEY_ROTATED: "An API key was rotated. `data` holds the new key's ID and the grace period in seconds.",
  CLIENT_TOKEN_CREATED: 'A client token was created. `targetId` is the ID of the token, its JWT claim `jti`.',
  WORKSPACE_CREATED: 'An API key of this workspace created another workspace.',
  WEBHOOK_SECRET_ROTATED: 'The secret that signs webhooks was replaced.',
  CALLBACK_REPLAYED: 'A stored upstream callback was processed again.',
  WEBHOOK_REDELIVERED: "A redelivery of a task's results to its `webhookUrl` was requested.",
  IMAGE_DELETED: 'An image was deleted.',
  BUDGET_CHANGED: 'A budget was set, changed or removed.',
  AUTHENTICATION_FAILED:
    'A credential was rejected `data.count` times within a minute. `data.kind` is MALFORMED, UNKNOWN_KEY, REVOKED_KEY, EXPIRED_KEY or TOKEN_INVALID. Entries without a known key are visible only to callers with the scope `workspaces:admin`.',
});

const AuditEntryType = createObjectType<AuditEntry>(
  'AuditEntry',
  'A privileged action or a rejected credential, recorded in the audit log. Entries are immutable. Only failed authentications are deleted, after 30 days.',
  {
    id: field(ID, 'ID of the entry.'),
    at: field(GraphQLDateTime, 'Time of the action.'),
    action: field(AuditActionEnum, 'The action.'),
    actor: field(
      String,
      'Name of the API key that performed the action. "anonymous" if the rejected credential belongs to no known key, "identity provider" for a token of the identity provider, "first start" and "key:create" for keys that Darkroom itself created.',
    ),
    keyId: nullable(ID, 'ID of the API key that performed the action. Null if there was none.'),
    endUserId: nullable(
      String,
      'End user of the client token that performed the action. Null if there was none.',
    ),
    clientAddress: nullable(String, 'IP address of the client. Null if it is unknown.'),
    targetId: nullable(String, 'ID of the object that was acted on. Null if there was none.'),
    data: field(
      JsonScalar,
      'Details of the action as a JSON object. Its fields depend on the action. It never contains secrets.',
    ),
  },
);

const AuditEntryConnection = createConnectionType(
  'AuditEntry',
  AuditEntryType,
  'audit entries, newest first',
);

const AuditFilterInput = createInputType<AuditFilter>(
  'AuditFilter',
  'Conditions on audit entries. An entry must meet all of them.',
  {
    actions: nullable([AuditActionEnum], 'Entries with one of these actions. Empty or omitted: any.'),
    keyId: nullable(ID, 'Actions of the API key with this ID. Omitted: any.'),
    since: nullable(GraphQLDateTime, 'Entries at or after this time.'),
    until: nullable(GraphQLDateTime, 'Entries before this time.'),
  },
);

@Resolver(() => AuditEntryType)
export class AuditEntryResolver {
  constructor(private readonly audit: Audit) {}

  @Authorized('audit:read')
  @Query(() => AuditEntryConnection, {
    description: 'Audit log of the workspace, newest first. Requires the scope `audit:read`.',
  })
  async auditLog(
    @Ctx() { caller }: Context,
    @Args() page: PageArgs,
    @Filter(AuditFilterInput, 'all entries') filter: AuditFilter | null,
  ) {
    return toConnection(await this.audit.page(caller, filter ?? {}, page));
  }
}
