import { GraphQLDateTime, GraphQLJSON } from 'graphql-scalars';
import { Field, ID, InputType, ObjectType } from 'type-graphql';
import { type AuditAction } from '../../core/access/audit-entry.js';
import { createConnectionType } from '../relay/connection.type.js';
import { createEnumType } from '../server/enum-type.js';

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

@ObjectType('AuditEntry', {
  description:
    'A privileged action or a rejected credential, recorded in the audit log. Entries are immutable.',
  simpleResolvers: true,
})
export class AuditEntryType {
  @Field(() => ID, { description: 'ID of the entry.' })
  id!: string;

  @Field(() => GraphQLDateTime, { description: 'Time of the action.' })
  at!: Date;

  @Field(() => AuditActionEnum, { description: 'The action.' })
  action!: AuditAction;

  @Field(() => String, {
    description:
      'Name of the API key that performed the action. "anonymous" if the rejected credential belongs to no known key, "identity provider" for a token of the identity provider, "first start" and "key:create" for keys that Darkroom itself created.',
  })
  actor!: string;

  @Field(() => ID, {
    nullable: true,
    description: 'ID of the API key that performed the action. Null if there was none.',
  })
  keyId!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'End user of the client token that performed the action. Null if there was none.',
  })
  endUserId!: string | null;

  @Field(() => String, { nullable: true, description: 'IP address of the client. Null if it is unknown.' })
  clientAddress!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'ID of the object that was acted on. Null if there was none.',
  })
  targetId!: string | null;

  @Field(() => GraphQLJSON, {
    description:
      'Details of the action as a JSON object. Its fields depend on the action. It never contains secrets.',
  })
  data!: Record<string, unknown>;
}

export const AuditEntryConnection = createConnectionType(
  'AuditEntry',
  AuditEntryType,
  'audit entries, newest first',
);

@InputType('AuditFilter', { description: 'Conditions on audit entries. An entry must meet all of them.' })
export class AuditFilterInput {
  @Field(() => [AuditActionEnum], {
    nullable: true,
    description: 'Entries with one of these actions. Empty or omitted: any.',
  })
  actions?: AuditAction[] | null;

  @Field(() => ID, { nullable: true, description: 'Actions of the API key with this ID. Omitted: any.' })
  keyId?: string | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'Entries at or after this time.' })
  since?: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'Entries before this time.' })
  until?: Date | null;
}
