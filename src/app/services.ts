import { PriceList } from '../core/billing/prices.js';
import { RateLimitRepository } from '../db/limits/rate-limit-repository.js';
import { ApiKeyRepository } from '../db/access/api-key-repository.js';
import { AuditRepository } from '../db/access/audit-repository.js';
import { BlobRepository } from '../db/images/blob-repository.js';
import { BudgetRepository } from '../db/billing/budget-repository.js';
import { CallbackRepository } from '../db/callbacks/callback-repository.js';
import { ConnectionSlotRepository } from '../db/limits/connection-slot-repository.js';
import { InFlightRepository } from '../db/limits/in-flight-repository.js';
import { LeaseRepository } from '../db/postgres/lease-repository.js';
import { WebhookRepository } from '../db/webhooks/webhook-repository.js';
import { UploadRepository } from '../db/images/upload-repository.js';
import { WorkspaceRepository } from '../db/access/workspace-repository.js';
import { Broadcaster } from '../event-log/broadcaster.js';
import { isPrivateUrl } from '../net/ssrf-guard.js';
import { Access } from '../services/access/access.js';
import { SignedLinks } from '../services/access/signed-links.js';
import { Audit } from '../services/access/audit.js';
import { Budgets } from '../services/billing/budgets.js';
import { CallbackInbox } from '../services/callbacks/callback-inbox.js';
import { ClientTokens } from '../services/access/client-tokens.js';
import { ConnectionLimits, LEASE_MS } from '../services/limits/connection-limits.js';
import { OpenConnections } from '../services/limits/open-connections.js';
import { WEBHOOK_TIMEOUT_MS, WebhookSender } from '../services/webhooks/webhook-sender.js';
import { DEFAULT_RETRY_DELAYS_MS } from '../services/webhooks/webhook-retries.js';
import { Retention } from '../services/images/retention.js';
import { Generation } from '../services/tasks/generation.js';
import { History } from '../services/tasks/history.js';
import { IdentityProvider } from '../services/access/identity-provider.js';
import { ApiKeys } from '../services/access/api-keys.js';
import { ApiKeyUsage } from '../services/access/api-key-usage.js';
import { ImageServing } from '../services/images/image-serving.js';
import { ImageIngest } from '../services/images/ingest.js';
import { IdentityProviderKeys } from '../services/access/identity-provider-keys.js';
import { RateLimits, RATE_LIMIT_WINDOW_MS } from '../services/limits/rate-limits.js';
import { Reconciliation } from '../services/tasks/reconciliation.js';
import { SourceImages } from '../services/tasks/source-images.js';
import { AuthenticationFailures } from '../services/access/authentication-failures.js';
import { Results } from '../services/tasks/results.js';
import { RequestPricing } from '../services/billing/request-pricing.js';
import { TaskControl } from '../services/tasks/task-control.js';
import { TokenSigning } from '../services/access/token-signing.js';
import { Uploads } from '../services/images/uploads.js';
import { Usage } from '../services/billing/usage.js';
import { EventSubscriptions } from '../services/events/event-subscriptions.js';
import { WebhookSecrets } from '../services/webhooks/webhook-secrets.js';
import { type Adapters } from './adapters.js';
import { CLEANUP_TIMEOUT_MS, stopWithin } from './cleanups.js';
import { type AppContext } from './app-context.js';

/** The issuer of client tokens without PUBLIC_URL. It must be the same on every instance. */
const DEFAULT_TOKEN_ISSUER = 'darkroom';
/** Complements PUSH_BUFFER_EVENTS, because an event usually has 1 kB but can be larger. */
const MAX_PUSH_BUFFER_BYTES = 1024 * 1024;

/** Every service, created once. */
export type Services = Awaited<ReturnType<typeof buildServices>>;

/** Creates the services. Without PUBLIC_URL, links start with the local URL. */
export async function buildServices(adapters: Adapters, { config, log, tuning, cleanups, url }: AppContext) {
  const { usesSandbox, signer, db, tasks, images, events, eventLog, urlGuards, http, webhookHttp } = adapters;
  const { upstream, upstreamGate, store, cursors } = adapters;
  const { publicUrl, images: imageConfig } = config;
  const canUpstreamFetchImages =
    usesSandbox || isPrivateUrl(config.flux.baseUrl) || !isPrivateUrl(publicUrl ?? url);
  const signedLinks = new SignedLinks(
    signer,
    publicUrl ?? url,
    usesSandbox ? url : publicUrl,
    canUpstreamFetchImages,
    imageConfig.linkTtlSeconds,
  );
  const callbacks = new CallbackRepository(db);
  const priceList = new PriceList(config.prices);
  const budgetRepository = new BudgetRepository(db);
  const rateLimits = new RateLimits(
    new RateLimitRepository(db),
    new InFlightRepository(db),
    config.limits,
    tuning.rateLimitWindowMs ?? RATE_LIMIT_WINDOW_MS,
    log,
  );
  const results = new Results(tasks, eventLog);
  const generation = new Generation(
    tasks,
    callbacks,
    results,
    eventLog,
    upstream,
    upstreamGate,
    signedLinks,
    new SourceImages(images, signedLinks, urlGuards),
    new RequestPricing(priceList, budgetRepository),
    rateLimits,
    log,
  );
  const taskControl = new TaskControl(tasks, generation, eventLog);
  const webhooks = new WebhookRepository(db);
  const workspaces = new WorkspaceRepository(db);
  const auditLog = new AuditRepository(db);
  const webhookSecrets = new WebhookSecrets(signer, workspaces);
  const webhookSender = new WebhookSender(
    webhooks,
    tasks,
    images,
    webhookSecrets,
    webhookHttp,
    signedLinks,
    eventLog,
    log,
    {
      retryDelaysMs: tuning.webhookRetryDelaysMs ?? DEFAULT_RETRY_DELAYS_MS,
      timeoutMs: tuning.webhookTimeoutMs ?? WEBHOOK_TIMEOUT_MS,
      retentionDays: config.callbackRetentionDays,
    },
  );
  const callbackInbox = new CallbackInbox(callbacks, generation, config.callbackRetentionDays, auditLog);
  const blobs = new BlobRepository(db);
  const { maxBytes } = imageConfig;
  const imageIngest = new ImageIngest(images, blobs, store, http, eventLog, maxBytes, log);
  const redirectToBucket = imageConfig.s3?.redirectToBucket ?? false;
  const imageServing = new ImageServing(images, imageIngest, store, signedLinks, redirectToBucket);
  const uploads = new Uploads(new UploadRepository(db), images, blobs, store, signedLinks, maxBytes);
  const retention = new Retention(images, blobs, store, eventLog, imageConfig.retentionDays, log);
  await retention.removeTemporaryFiles();
  const reconciliation = new Reconciliation(
    tasks,
    new LeaseRepository(db),
    results,
    eventLog,
    upstream,
    log,
    tuning.pollUpstreamAfterMs ?? 10_000,
    tuning.reconcileIntervalMs ?? 1_000,
  );
  const history = new History(tasks, images, events, cursors);
  const { push } = config;
  const broadcasterOptions = {
    cursors,
    bufferLimits: { maxEvents: push.maxBufferedEvents, maxBytes: MAX_PUSH_BUFFER_BYTES },
    stallMs: tuning.stallTimeoutMs ?? 30_000,
  };
  const broadcaster = new Broadcaster(eventLog, events, broadcasterOptions, log);
  const eventSubscriptions = new EventSubscriptions(events, eventLog, broadcaster, cursors, push.replayDays);
  const apiKeyRepository = new ApiKeyRepository(db);
  const apiKeyUsage = new ApiKeyUsage({ keys: apiKeyRepository, log });
  const authenticationFailures = new AuthenticationFailures({
    auditLog,
    log,
    windowMs: tuning.authenticationFailureWindowMs,
  });
  const tokenSigning = await TokenSigning.create(signer, publicUrl ?? DEFAULT_TOKEN_ISSUER);
  const { oidc } = config;
  const providerKeys = oidc && new IdentityProviderKeys(oidc.issuer, log, tuning.jwksCooldownMs);
  const identityProvider = oidc && providerKeys && new IdentityProvider(oidc, providerKeys, workspaces);
  // The start does not wait, because the provider may be down and API keys work without it.
  void providerKeys?.prefetch();
  const access = new Access(
    apiKeyRepository,
    tokenSigning,
    apiKeyUsage,
    authenticationFailures,
    identityProvider,
  );
  const connectionLimits = new ConnectionLimits(
    new ConnectionSlotRepository(db),
    tuning.connectionLeaseMs ?? LEASE_MS,
    log,
  );
  cleanups.push(() => stopWithin(CLEANUP_TIMEOUT_MS, 'the connection slots', connectionLimits.stop()));
  const connections = new OpenConnections(
    apiKeyRepository,
    access,
    push.maxConnectionsPerKey,
    rateLimits,
    connectionLimits,
    log,
  );
  cleanups.push(() =>
    stopWithin(
      CLEANUP_TIMEOUT_MS,
      'the key checks and pending key usage',
      Promise.all([connections.stop(), apiKeyUsage.stop(), authenticationFailures.stop()]),
    ),
  );
  return {
    signedLinks,
    rateLimits,
    generation,
    taskControl,
    webhookSender,
    webhookSecrets,
    callbackInbox,
    imageIngest,
    imageServing,
    uploads,
    retention,
    reconciliation,
    history,
    eventSubscriptions,
    access,
    tokenSigning,
    connections,
    apiKeys: new ApiKeys(apiKeyRepository, workspaces),
    audit: new Audit(auditLog),
    clientTokens: new ClientTokens(tokenSigning, tasks, auditLog),
    budgets: new Budgets(budgetRepository, apiKeyRepository, priceList),
    usage: new Usage(db),
  };
}
