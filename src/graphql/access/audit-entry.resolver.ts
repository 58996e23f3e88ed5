import { Arg, Authorized, Ctx, Int, Query, Resolver } from 'type-graphql';
import { Audit } from '../../services/access/audit.js';
import { AuditEntryType, AuditFilterInput } from './audit-entry.type.js';
import { AuditEntryConnection, toConnection } from '../relay/connection.type.js';
import { type Context } from '../server/context.js';

@Resolver(() => AuditEntryType)
export class AuditResolver {
  constructor(private readonly audit: Audit) {}

  @Authorized('audit:read')
  @Query(() => AuditEntryConnection, {
    description:
      'Who used what power in the workspace: what, when, from where, with which key; newest first. Scope audit:read.',
  })
  async auditLog(
    @Ctx() { caller }: Context,
    @Arg('first', () => Int, { defaultValue: 20, description: 'How many, 1 to 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'endCursor of the page before.' })
    after: string | null,
    @Arg('filter', () => AuditFilterInput, { nullable: true, description: 'Which ones; absent: all.' })
    filter: AuditFilterInput | null,
  ) {
    return toConnection(await this.audit.page(caller, filter ?? {}, first, after ?? null));
  }
}
