import 'reflect-metadata';
import { type GraphQLSchema } from 'graphql';
import { buildSchema, type PubSub, type ResolverData } from 'type-graphql';
import { type Scope } from '../../core/access/caller.js';
import { requireScope } from '../../services/access/access.js';
import { type Addresses } from '../../services/access/signed-links.js';
import { type Audit } from '../../services/access/audit.js';
import { type Budgeting } from '../../services/billing/budgets.js';
import { type CallbackInbox } from '../../services/callbacks/callback-inbox.js';
import { type ClientTokens } from '../../services/access/client-tokens.js';
import { type Delivering } from '../../services/webhooks/webhook-sender.js';
import { type Forgetting } from '../../services/images/retention.js';
import { type Generation } from '../../services/tasks/generation.js';
import { type History } from '../../services/tasks/history.js';
import { type KeyAdministration } from '../../services/access/api-keys.js';
import { type TaskControl } from '../../services/tasks/task-control.js';
import { type Uploading } from '../../services/images/uploads.js';
import { type Usage } from '../../services/billing/usage.js';
import { type WebhookSecrets } from '../../services/webhooks/webhook-secrets.js';
import { ApiKeyResolver } from '../access/api-key.resolver.js';
import { AuditResolver } from '../access/audit-entry.resolver.js';
import { BudgetResolver } from '../billing/budget.resolver.js';
import { CallbackResolver } from '../callbacks/callback.resolver.js';
import { ClientTokenResolver } from '../access/client-token.resolver.js';
import { type Context } from './context.js';
import { DeliveryResolver } from '../webhooks/webhook-delivery.resolver.js';
import { FluxModelResolver } from '../tasks/flux-model.resolver.js';
import { ImageResolver } from '../images/image.resolver.js';
import { RateLimitResolver } from '../limits/rate-limit.resolver.js';
import { TaskControlResolver } from '../tasks/task-control.resolver.js';
import { TaskEventResolver } from '../events/task-event.resolver.js';
import { TaskResolver } from '../tasks/task.resolver.js';
import { UsageResolver } from '../billing/usage.resolver.js';
import { ViewerResolver } from '../access/viewer.resolver.js';

export interface SchemaServices {
  generation: Generation;
  control: TaskControl;
  inbox: CallbackInbox;
  history: History;
  addresses: Addresses;
  uploading: Uploading;
  forgetting: Forgetting;
  delivering: Delivering;
  webhookSecrets: WebhookSecrets;
  keyAdministration: KeyAdministration;
  audit: Audit;
  clientTokens: ClientTokens;
  budgeting: Budgeting;
  usage: Usage;
}

/** type-graphql asks for one wherever there are subscriptions; ours come from the event log, by their `subscribe`. */
const NO_PUB_SUB: PubSub = {
  publish: () => undefined,
  subscribe: () => {
    throw new Error('Subscriptions come from the event log, not from a PubSub.');
  },
};

/** The executable schema. Its printed form is committed as schema.graphql. */
export async function makeSchema(services: SchemaServices): Promise<GraphQLSchema> {
  const resolvers = new Map<unknown, object>([
    [TaskResolver, new TaskResolver(services.generation, services.history)],
    [TaskControlResolver, new TaskControlResolver(services.control)],
    [CallbackResolver, new CallbackResolver(services.inbox)],
    [DeliveryResolver, new DeliveryResolver(services.delivering, services.webhookSecrets)],
    [ApiKeyResolver, new ApiKeyResolver(services.keyAdministration)],
    [ClientTokenResolver, new ClientTokenResolver(services.clientTokens)],
    [AuditResolver, new AuditResolver(services.audit)],
    [TaskEventResolver, new TaskEventResolver(services.history)],
    [
      ImageResolver,
      new ImageResolver(services.addresses, services.history, services.uploading, services.forgetting),
    ],
    [BudgetResolver, new BudgetResolver(services.budgeting)],
    [UsageResolver, new UsageResolver(services.usage)],
    [FluxModelResolver, new FluxModelResolver()],
    [RateLimitResolver, new RateLimitResolver()],
    [ViewerResolver, new ViewerResolver()],
  ]);
  return buildSchema({
    resolvers: [
      TaskResolver,
      TaskControlResolver,
      TaskEventResolver,
      CallbackResolver,
      DeliveryResolver,
      ImageResolver,
      ApiKeyResolver,
      AuditResolver,
      ClientTokenResolver,
      BudgetResolver,
      UsageResolver,
      FluxModelResolver,
      RateLimitResolver,
      ViewerResolver,
    ],
    container: { get: (resolverClass) => resolvers.get(resolverClass) },
    authChecker: ({ context }: ResolverData<Context>, scopes: Scope[]) => {
      for (const scope of scopes) requireScope(context.caller, scope);
      return true;
    },
    validate: false,
    pubSub: NO_PUB_SUB,
  });
}
