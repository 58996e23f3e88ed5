import { Arg, Args, Authorized, Ctx, Query, Resolver } from 'type-graphql';
import { Audit } from '../../services/access/audit.js';
import { toConnection } from '../relay/connection.type.js';
import { PageArgs } from '../relay/page-args.js';
import { type Context } from '../server/context.js';
import { AuditEntryConnection, AuditEntryType, AuditFilterInput } from './audit-entry.type.js';

@Resolver(() => AuditEntryType)
export class AuditEntryResolver {
  constructor(private readonly audit: Audit) {}

  @Authorized('audit:read')
  @Query(() => AuditEntryConnection, {
    description: 'Audit log of the workspace, newest first. Requires the scope `audit:read`.',
  })
  async auditLog(
    @Ctx() { caller }: Context,
    @Args() { first, after }: PageArgs,
    @Arg('filter', () => AuditFilterInput, {
      nullable: true,
      description: 'Conditions. Omitted: all entries.',
    })
    filter: AuditFilterInput | null,
  ) {
    return toConnection(await this.audit.page(caller, filter ?? {}, { first, after }));
  }
}
