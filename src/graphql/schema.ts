import 'reflect-metadata';
import { type GraphQLSchema } from 'graphql';
import { buildSchema, type PubSub, type ResolverData } from 'type-graphql';
import { type Scope } from '../core/caller.js';
import { requireScope } from '../services/access.js';
import { type Addresses } from '../services/addresses.js';
import { type Audit } from '../services/audit.js';
import { type Budgeting } from '../services/budgeting.js';
import { type CallbackInbox } from '../services/callback-inbox.js';
import { type ClientTokens } from '../services/client-tokens.js';
import { type Delivering } from '../services/delivering.js';
import { type Forgetting } from '../services/forgetting.js';
import { type Generation } from '../services/generation.js';
import { type History } from '../services/history.js';
import { type KeyAdministration } from '../services/key-administration.js';
import { type TaskControl } from '../services/task-control.js';
import { type Uploading } from '../services/uploading.js';
import { type Usage } from '../services/usage.js';
import { type WebhookSecrets } from '../services/webhook-secrets.js';
import { ApiKeyResolver } from './api-key.resolver.js';
import { AuditResolver } from './audit.resolver.js';
import { BudgetResolver } from './budget.resolver.js';
import { CallbackResolver } from './callback.resolver.js';
import { ClientTokenResolver } from './client-token.resolver.js';
import { type Context } from './context.js';
import { DeliveryResolver } from './delivery.resolver.js';
import { FluxModelResolver } from './flux-model.resolver.js';
import { ImageResolver } from './image.resolver.js';
import { RateLimitResolver } from './rate-limit.resolver.js';
import { TaskControlResolver } from './task-control.resolver.js';
import { TaskEventResolver } from './task-event.resolver.js';
import { TaskResolver } from './task.resolver.js';
import { UsageResolver } from './usage.resolver.js';
import { ViewerResolver } from './viewer.resolver.js';

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
