import 'reflect-metadata';
import { type GraphQLSchema } from 'graphql';
import { buildSchema, type NonEmptyArray, type PubSub, type ResolverData } from 'type-graphql';
import { type Scope } from '../../core/access/caller.js';
import { requireScope } from '../../services/access/access.js';
import { type ApiKeys } from '../../services/access/api-keys.js';
import { type Audit } from '../../services/access/audit.js';
import { type ClientTokens } from '../../services/access/client-tokens.js';
import { type SignedLinks } from '../../services/access/signed-links.js';
import { type Budgets } from '../../services/billing/budgets.js';
import { type Usage } from '../../services/billing/usage.js';
import { type CallbackInbox } from '../../services/callbacks/callback-inbox.js';
import { type Retention } from '../../services/images/retention.js';
import { type Uploads } from '../../services/images/uploads.js';
import { type Generation } from '../../services/tasks/generation.js';
import { type TaskReads } from '../../services/tasks/task-reads.js';
import { type TaskControl } from '../../services/tasks/task-control.js';
import { type WebhookSecrets } from '../../services/webhooks/webhook-secrets.js';
import { type WebhookSender } from '../../services/webhooks/webhook-sender.js';
import { ApiKeyResolver } from '../access/api-key.resolver.js';
import { AuditEntryResolver } from '../access/audit-entry.resolver.js';
import { ClientTokenResolver } from '../access/client-token.resolver.js';
import { ViewerResolver } from '../access/viewer.resolver.js';
import { BudgetResolver } from '../billing/budget.resolver.js';
import { UsageResolver } from '../billing/usage.resolver.js';
import { CallbackResolver } from '../callbacks/callback.resolver.js';
import { TaskEventResolver } from '../events/task-event.resolver.js';
import { ImageResolver } from '../images/image.resolver.js';
import { RateLimitResolver } from '../limits/rate-limit.resolver.js';
import { FluxModelResolver } from '../tasks/flux-model.resolver.js';
import { TaskResolver } from '../tasks/task.resolver.js';
import { TaskWebhooksResolver, WebhookDeliveryResolver } from '../webhooks/webhook-delivery.resolver.js';
import { WebhookSecretResolver } from '../webhooks/webhook-secret.resolver.js';
import { type Context } from './context.js';

export interface SchemaServices {
  generation: Generation;
  taskControl: TaskControl;
  callbackInbox: CallbackInbox;
  taskReads: TaskReads;
  signedLinks: SignedLinks;
  uploads: Uploads;
  retention: Retention;
  webhookSender: WebhookSender;
  webhookSecrets: WebhookSecrets;
  apiKeys: ApiKeys;
  audit: Audit;
  clientTokens: ClientTokens;
  budgets: Budgets;
  usage: Usage;
}

/** type-graphql requires one for subscriptions. Ours read the event log through their `subscribe` functions. */
const NO_PUB_SUB: PubSub = {
  publish: () => undefined,
  subscribe: () => {
    throw new Error('Subscriptions read the event log and must not use PubSub.');
  },
};

/** Builds the executable schema. Its printed form is committed as schema.graphql. */
export async function buildExecutableSchema(services: SchemaServices): Promise<GraphQLSchema> {
  const resolvers = createResolvers(services);
  const resolversByClass = new Map<unknown, object>(
    resolvers.map((resolver) => [resolver.constructor, resolver]),
  );
  const schema = await buildSchema({
    resolvers: resolvers.map((resolver) => resolver.constructor) as NonEmptyArray<() => void>,
    container: { get: (resolverClass) => resolversByClass.get(resolverClass) },
    authChecker: ({ context }: ResolverData<Context>, scopes: Scope[]) => {
      for (const scope of scopes) requireScope(context.caller, scope);
      return true;
    },
    validate: false,
    // Apollo Server checks the schema too, and this takes a quarter of a second at each start.
    skipCheck: true,
    pubSub: NO_PUB_SUB,
  });
  describeRootTypes(schema);
  return schema;
}

function createResolvers(services: SchemaServices): object[] {
  const { taskReads, webhookSender } = services;
  return [
    new TaskResolver(services.generation, services.taskControl, taskReads),
    new FluxModelResolver(),
    new ImageResolver(services),
    new TaskEventResolver(taskReads),
    new CallbackResolver(services.callbackInbox),
    new TaskWebhooksResolver(webhookSender),
    new WebhookDeliveryResolver(webhookSender),
    new WebhookSecretResolver(services.webhookSecrets),
    new ViewerResolver(),
    new ApiKeyResolver(services.apiKeys),
    new ClientTokenResolver(services.clientTokens),
    new AuditEntryResolver(services.audit),
    new RateLimitResolver(),
    new BudgetResolver(services.budgets),
    new UsageResolver(services.usage),
  ];
}

/** type-graphql has no option for the descriptions of root types. */
function describeRootTypes(schema: GraphQLSchema): void {
  const descriptions = new Map([
    [
      schema.getQueryType(),
      "Read operations, limited to the caller's workspace. An ID of another workspace behaves like one that does not exist.",
    ],
    [
      schema.getMutationType(),
      'Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md.',
    ],
    [
      schema.getSubscriptionType(),
      'Event streams, over WebSocket (`/graphql`) or server-sent events (`/graphql/stream`). See docs/PROTOCOL.md, "Subscriptions".',
    ],
  ]);
  for (const [type, description] of descriptions) if (type) type.description = description;
}
