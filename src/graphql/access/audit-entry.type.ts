import { GraphQLDateTime, GraphQLJSON } from 'graphql-scalars';
import { Field, ID, InputType, ObjectType, registerEnumType } from 'type-graphql';
import { AUDIT_ACTIONS, type AuditAction } from '../../core/access/audit-entry.js';

export const AuditActionEnum = Object.fromEntries(AUDIT_ACTIONS.map((action) => [action, action])) as {
  [Action in AuditAction]: Action;
};
registerEnumType(AuditActionEnum, {
  name: 'AuditAction',
  description: 'What somebody did that others must be able to read about.',
  valuesConfig: {
    KEY_CREATED: { description: 'A key was made; `data` has its name and scopes.' },
    KEY_REVOKED: { description: 'A key was ended.' },
    KEY_ROTATED: { description: 'A key was given a successor; `data` has its id and the grace time.' },
    TOKEN_ISSUED: { description: 'A token for a browser was made; `subject` is its `jti`.' },
    WORKSPACE_CREATED: { description: 'A workspace was made, by a key of this one.' },
    WEBHOOK_SECRET_ROTATED: { description: 'Callbacks are signed with a new secret.' },
    CALLBACK_REPLAYED: { description: "A callback of the upstream's was taken again." },
    CALLBACK_REDELIVERED: { description: "A task's result was posted to its callbackUrl again." },
    IMAGE_DELETED: { description: 'Somebody took an image away.' },
    BUDGET_CHANGED: { description: 'A budget was set or changed.' },
    SIGN_IN_FAILED: {
      description:
        "A key or a token was refused, `data.count` times within a minute; `data.kind` says why. Of keys that are nobody's only for callers with workspaces:admin.",
    },
  },
});

@ObjectType('AuditEntry', {
  description: 'One use of power. Entries are never changed.',
  simpleResolvers: true,
})
export class AuditEntryType {
  @Field(() => ID, { description: 'The id of the entry.' })
  id!: string;

  @Field(() => GraphQLDateTime, { description: 'When.' })
  at!: Date;

  @Field(() => AuditActionEnum, { description: 'What was done.' })
  action!: AuditAction;

  @Field(() => String, { description: 'By whom: the name of the key.' })
  actor!: string;

  @Field(() => ID, { nullable: true, description: 'With which key; null where there was none.' })
  keyId!: string | null;

  @Field(() => String, { nullable: true, description: 'By which end user, when the key was a token of one.' })
  endUserId!: string | null;

  @Field(() => String, { nullable: true, description: "From where: the client's address." })
  source!: string | null;

  @Field(() => String, { nullable: true, description: 'The id of what it was done to.' })
  subject!: string | null;

  @Field(() => GraphQLJSON, { description: 'What else there is to know, by action. No secrets.' })
  data!: Record<string, unknown>;
}

@InputType('AuditFilter', { description: 'Which entries. Absent or empty: all of them.' })
export class AuditFilterInput {
  @Field(() => [AuditActionEnum], { nullable: true, description: 'Of these kinds.' })
  actions?: AuditAction[] | null;

  @Field(() => ID, { nullable: true, description: 'Done with this key.' })
  keyId?: string | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'At this time or later.' })
  since?: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'Before this time.' })
  until?: Date | null;
}
