import { join } from 'node:path';
import { PriceList } from '../core/billing/prices.js';
import { withTimeout } from '../core/primitives/async.js';
import { RateLimitRepository } from '../db/limits/rate-limit-repository.js';
import { ApiKeyRepository } from '../db/access/api-key-repository.js';
import { AuditRepository } from '../db/access/audit-repository.js';
import { BlobRepository } from '../db/images/blob-repository.js';
import { ImageRepository } from '../db/images/image-repository.js';
import { TaskRepository } from '../db/tasks/task-repository.js';
import { BudgetRepository } from '../db/billing/budget-repository.js';
import { UsageRepository } from '../db/billing/usage-repository.js';
import { CallbackRepository } from '../db/callbacks/callback-repository.js';
import { ConnectionSlotRepository } from '../db/limits/connection-slot-repository.js';
import { InFlightRepository } from '../db/limits/in-flight-repository.js';
import { LeaseRepository } from '../db/instances/lease-repository.js';
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
import { CALLBACK_SPOOL_LIMITS, ReceivedCallbacks } from '../services/callbacks/received-callbacks.js';
import { ClientTokens } from '../services/access/client-tokens.js';
import { ConnectionLimits, LEASE_MS } from '../services/limits/connection-limits.js';
import { OpenConnections } from '../services/limits/open-connections.js';
import { WEBHOOK_TIMEOUT_MS, WebhookSender } from '../services/webhooks/webhook-sender.js';
import { DEFAULT_RETRY_DELAYS_MS } from '../services/webhooks/webhook-retries.js';
import { Retention } from '../services/images/retention.js';
import { BackPressure } from '../services/tasks/back-pressure.js';
import { SubmitOutcomes } from '../services/tasks/submit-outcomes.js';
import { DiskOperations } from '../storage/disk-operations.js';
import { Spool } from '../storage/spool.js';
import { Generation } from '../services/tasks/generation.js';
import { TaskReads } from '../services/tasks/task-reads.js';
import { IdentityProvider } from '../services/access/identity-provider.js';
import { ApiKeys } from '../services/access/api-keys.js';
import { ApiKeyUsage } from '../services/access/api-key-usage.js';
import { ImageServing } from '../services/images/image-serving.js';
import { ImageIngest } from '../services/images/ingest.js';
import { IdentityProviderKeys } from '../services/access/identity-provider-keys.js';
import { RateLimits, RATE_LIMIT_WINDOW_MS } from '../services/limits/rate-limits.js';
import { Expiry } from '../services/tasks/expiry/expiry.js';
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
import { type Dependencies } from '../services/dependencies.js';
import { type Adapters } from './adapters.js';
import { type AppContext, CLEANUP_TIMEOUT_MS, stopWithin } from './app-context.js';

/** The issuer of client tokens without PUBLIC_URL. It must be the same on every instance. */
const DEFAULT_TOKEN_ISSUER = 'darkroom';
/** With the second until the next read, results whose callbacks were lost in an outage are found within 10 s of its end. */
const READ_AFTER_MS = 8_000;
/** The start waits no longer for a disk that does not answer. The cleaning goes on. */
const CLEAN_UP_LIMIT_MS = 15_000;
/** Complements PUSH_BUFFER_EVENTS, because an event usually has 1 kB but can be larger. */
const MAX_PUSH_BUFFER_BYTES = 1024 * 1024;

/** Every service, created once. */
export type Services = Awaited<ReturnType<typeof buildServices>>;

/** Creates the services. Without PUBLIC_URL, links start with the local URL. */
export async function buildServices(adapters: Adapters, { config, log, tuning, cleanups, url }: AppContext) {
  const { usesSandbox, db, backgroundDb, ...usedAdapters } = adapters;
  const { publicUrl, oidc, push, callbackRetentionDays, images: imageConfig } = config;
  const { maxBytes } = imageConfig;
  const repositories = {
    rateLimitWindows: new RateLimitRepository(db),
    auditLog: new AuditRepository(db),
    blobs: new BlobRepository(db),
    budgets: new BudgetRepository(db),
    callbacks: new CallbackRepository(db),
    inFlight: new InFlightRepository(db),
    apiKeys: new ApiKeyRepository(db),
    leases: new LeaseRepository(db),
    slots: new ConnectionSlotRepository(db),
    uploads: new UploadRepository(db),
    webhooks: new WebhookRepository(db),
    workspaces: new WorkspaceRepository(db),
  };
  const priceList = new PriceList(config.prices);
  /** What several services depend on. Each service takes what it names. */
  const shared = { ...usedAdapters, ...repositories, priceList, log } satisfies Dependencies;

  const signedLinks = new SignedLinks({
    ...shared,
    publicUrl: publicUrl ?? url,
    urlForUpstream: usesSandbox ? url : publicUrl,
    canUpstreamFetchImages:
      usesSandbox || isPrivateUrl(config.flux.baseUrl) || !isPrivateUrl(publicUrl ?? url),
    imageLinkSeconds: imageConfig.linkTtlSeconds,
  });
  const rateLimits = new RateLimits({
    ...shared,
    defaults: config.limits,
    windowMs: tuning.rateLimitWindowMs ?? RATE_LIMIT_WINDOW_MS,
  });
  const backPressure = new BackPressure(shared);
  const results = new Results({ ...shared, backPressure });
  const sourceImages = new SourceImages({ ...shared, signedLinks });
  const pricing = new RequestPricing(shared);
  const spoolDir = join(config.dataDir, 'spool');
  const spoolDisk = new DiskOperations();
  const spool = new Spool(spoolDir, { disk: spoolDisk });
  const submitOutcomes = new SubmitOutcomes({ ...shared, backPressure, results, spool });
  const generation = new Generation({
    ...shared,
    backPressure,
    submitOutcomes,
    results,
    signedLinks,
    sourceImages,
    pricing,
    rateLimits,
  });
  const callbackSpool = new Spool(join(spoolDir, 'callbacks'), {
    ...CALLBACK_SPOOL_LIMITS,
    ...(tuning.maxSpooledCallbacks !== undefined && { maxFiles: tuning.maxSpooledCallbacks }),
    disk: spoolDisk,
  });
  const receivedCallbacks = new ReceivedCallbacks({ ...shared, generation, spool: callbackSpool });
  cleanups.push(() =>
    stopWithin(
      CLEANUP_TIMEOUT_MS,
      'applying what waits in the spool',
      Promise.all([submitOutcomes.stop(), receivedCallbacks.stop()]),
    ),
  );
  const secrets = new WebhookSecrets(shared);
  const webhookSender = new WebhookSender({
    ...shared,
    background: {
      images: new ImageRepository(backgroundDb),
      tasks: new TaskRepository(backgroundDb),
      webhooks: new WebhookRepository(backgroundDb),
    },
    secrets,
    signedLinks,
    http: adapters.webhookHttp,
    retryDelaysMs: tuning.webhookRetryDelaysMs ?? DEFAULT_RETRY_DELAYS_MS,
    timeoutMs: tuning.webhookTimeoutMs ?? WEBHOOK_TIMEOUT_MS,
    retentionDays: callbackRetentionDays,
  });
  const imageIngest = new ImageIngest({ ...shared, maxBytes });
  const redirectToBucket = imageConfig.s3?.redirectToBucket ?? false;
  const spools = [spool, callbackSpool];
  const retention = new Retention({ ...shared, retentionDays: imageConfig.retentionDays, spools });
  await withTimeout(retention.removeTemporaryFiles(), CLEAN_UP_LIMIT_MS);
  const reading = { ...shared, backPressure, results, readIntervalMs: tuning.reconcileIntervalMs ?? 1_000 };
  const readAfterMs = tuning.readUpstreamAfterMs ?? READ_AFTER_MS;
  const reconciliation = new Reconciliation({ ...reading, readAfterMs });
  const broadcaster = new Broadcaster({
    ...shared,
    bufferLimits: { maxEvents: push.maxBufferedEvents, maxBytes: MAX_PUSH_BUFFER_BYTES },
    stallMs: tuning.stallTimeoutMs ?? 30_000,
  });

  const apiKeyUsage = new ApiKeyUsage(shared);
  const authenticationFailures = new AuthenticationFailures({
    ...shared,
    windowMs: tuning.authenticationFailureWindowMs,
  });
  const tokenSigning = await TokenSigning.create(adapters.signer, publicUrl ?? DEFAULT_TOKEN_ISSUER);
  const providerKeys =
    oidc && new IdentityProviderKeys({ issuer: oidc.issuer, log, cooldownMs: tuning.jwksCooldownMs });
  const identityProvider =
    providerKeys && new IdentityProvider({ ...shared, config: oidc, keys: providerKeys });
  // The start does not wait, because the provider may be down and API keys work without it.
  void providerKeys?.prefetch();
  const access = new Access({
    ...shared,
    tokenSigning,
    apiKeyUsage,
    authenticationFailures,
    identityProvider,
  });
  const connectionLimits = new ConnectionLimits({
    ...shared,
    leaseMs: tuning.connectionLeaseMs ?? LEASE_MS,
  });
  cleanups.push(() => stopWithin(CLEANUP_TIMEOUT_MS, 'the connection slots', connectionLimits.stop()));
  const connections = new OpenConnections({
    ...shared,
    access,
    maxPerKey: push.maxConnectionsPerKey,
    rateLimits,
    connectionLimits,
  });
  cleanups.push(() =>
    stopWithin(
      CLEANUP_TIMEOUT_MS,
      'the key checks and pending key usage',
      Promise.all([connections.stop(), apiKeyUsage.stop(), authenticationFailures.stop()]),
    ),
  );
  return {
    spools,
    signedLinks,
    rateLimits,
    generation,
    submitOutcomes,
    receivedCallbacks,
    webhookSender,
    webhookSecrets: secrets,
    imageIngest,
    retention,
    expiry: new Expiry(reading),
    reconciliation,
    access,
    tokenSigning,
    connections,
    apiKeys: new ApiKeys(shared),
    audit: new Audit(shared.auditLog),
    budgets: new Budgets(shared),
    callbackInbox: new CallbackInbox({ ...shared, generation, retentionDays: callbackRetentionDays }),
    clientTokens: new ClientTokens({ ...shared, tokenSigning }),
    eventSubscriptions: new EventSubscriptions({ ...shared, broadcaster, replayDays: push.replayDays }),
    taskReads: new TaskReads(shared),
    imageServing: new ImageServing({ ...shared, imageIngest, signedLinks, redirectToBucket }),
    taskControl: new TaskControl({ ...shared, generation }),
    uploads: new Uploads({ ...shared, signedLinks, maxBytes }),
    usage: new Usage(new UsageRepository(backgroundDb, tuning.usageTimeoutMs)),
  };
}
