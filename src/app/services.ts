import { PriceList } from '../core/billing/prices.js';
import { Allowances } from '../db/limits/rate-limit-repository.js';
import { ApiKeys } from '../db/access/api-key-repository.js';
import { AuditLog } from '../db/access/audit-repository.js';
import { Blobs } from '../db/images/blob-repository.js';
import { Budgets } from '../db/billing/budget-repository.js';
import { Callbacks } from '../db/callbacks/callback-repository.js';
import { ConnectionPlaces } from '../db/limits/connection-slot-repository.js';
import { Flights } from '../db/limits/in-flight-repository.js';
import { Leases } from '../db/postgres/lease-repository.js';
import { OutgoingCallbacks } from '../db/webhooks/webhook-repository.js';
import { Uploads } from '../db/images/upload-repository.js';
import { Workspaces } from '../db/access/workspace-repository.js';
import { Feed } from '../event-log/broadcaster.js';
import { isPrivateUrl } from '../net/guard.js';
import { Access } from '../services/access/access.js';
import { Addresses } from '../services/access/signed-links.js';
import { Audit } from '../services/access/audit.js';
import { Budgeting } from '../services/billing/budgets.js';
import { CallbackInbox } from '../services/callbacks/callback-inbox.js';
import { ClientTokens } from '../services/access/client-tokens.js';
import { ConnectionLimits, LEASE_MS } from '../services/limits/connection-limits.js';
import { Connections } from '../services/limits/connection-slots.js';
import { ATTEMPT_TIMEOUT_MS, Delivering } from '../services/webhooks/webhook-sender.js';
import { RETRY_DELAYS_MS } from '../services/webhooks/delivery-outcome.js';
import { Forgetting } from '../services/images/retention.js';
import { Generation } from '../services/tasks/generation.js';
import { History } from '../services/tasks/history.js';
import { IdentityProvider } from '../services/access/identity-provider.js';
import { KeyAdministration } from '../services/access/api-keys.js';
import { KeyUse } from '../services/access/key-usage.js';
import { PictureServing } from '../services/images/image-serving.js';
import { Pictures } from '../services/images/ingest.js';
import { ProviderKeys } from '../services/access/provider-keys.js';
import { RateLimits, WINDOW_MS } from '../services/limits/rate-limits.js';
import { Reconciliation } from '../services/tasks/reconciliation.js';
import { References } from '../services/tasks/source-images.js';
import { SignInFailures } from '../services/access/sign-in-failures.js';
import { Results } from '../services/tasks/results.js';
import { Spending } from '../services/billing/spending.js';
import { TaskControl } from '../services/tasks/task-control.js';
import { TokenSigning } from '../services/access/token-signing.js';
import { Uploading } from '../services/images/uploads.js';
import { Usage } from '../services/billing/usage.js';
import { Watching } from '../services/events/event-subscriptions.js';
import { WebhookSecrets } from '../services/webhooks/webhook-secrets.js';
import { type Machines } from './adapters.js';
import { ANSWER_MS, atMost } from './releases.js';
import { type Start } from './start.js';

/** Where there is no PUBLIC_URL: the same on every instance. */
const TOKEN_ISSUER = 'darkroom';
/** Beside PUSH_BUFFER_EVENTS: an event is 1 kB as a rule and can be more. */
const PUSH_BUFFER_BYTES = 1024 * 1024;

/** The story: every service, built once. */
export type Services = Awaited<ReturnType<typeof buildServices>>;

/** Where there is no PUBLIC_URL, clients and the upstream are given the address at which we listen. */
export async function buildServices(machines: Machines, { config, log, tuning, releases, url }: Start) {
  const { usesSandbox, signer, db, tasks, images, events, eventLog, guards, http, receiverHttp } = machines;
  const { upstream, gate, store, cursors } = machines;
  const { publicUrl, images: pictureConfig } = config;
  const upstreamFetches = usesSandbox || isPrivateUrl(config.flux.baseUrl) || !isPrivateUrl(publicUrl ?? url);
  const addresses = new Addresses(
    signer,
    publicUrl ?? url,
    usesSandbox ? url : publicUrl,
    upstreamFetches,
    pictureConfig.linkSeconds,
  );
  const callbacks = new Callbacks(db);
  const prices = new PriceList(config.prices);
  const budgets = new Budgets(db);
  const rateLimits = new RateLimits(
    new Allowances(db),
    new Flights(db),
    config.limits,
    tuning.limitWindowMs ?? WINDOW_MS,
    log,
  );
  const results = new Results(tasks, eventLog);
  const generation = new Generation(
    tasks,
    callbacks,
    results,
    eventLog,
    upstream,
    gate,
    addresses,
    new References(images, addresses, guards),
    new Spending(prices, budgets),
    rateLimits,
    log,
  );
  const control = new TaskControl(tasks, generation, eventLog);
  const outgoing = new OutgoingCallbacks(db);
  const workspaces = new Workspaces(db);
  const auditLog = new AuditLog(db);
  const webhookSecrets = new WebhookSecrets(signer, workspaces);
  const delivering = new Delivering(
    outgoing,
    tasks,
    images,
    webhookSecrets,
    receiverHttp,
    addresses,
    eventLog,
    log,
    {
      delays: tuning.deliveryDelaysMs ?? RETRY_DELAYS_MS,
      timeoutMs: tuning.deliveryTimeoutMs ?? ATTEMPT_TIMEOUT_MS,
      retentionDays: config.callbackRetentionDays,
    },
  );
  const inbox = new CallbackInbox(callbacks, generation, config.callbackRetentionDays, auditLog);
  const blobs = new Blobs(db);
  const { maxBytes } = pictureConfig;
  const pictures = new Pictures(images, blobs, store, http, eventLog, maxBytes, log);
  const redirects = pictureConfig.s3?.redirects ?? false;
  const pictureServing = new PictureServing(images, pictures, store, addresses, redirects);
  const uploading = new Uploading(new Uploads(db), images, blobs, store, addresses, maxBytes);
  const forgetting = new Forgetting(images, blobs, store, eventLog, pictureConfig.retentionDays, log);
  await forgetting.cleanUp();
  const reconciliation = new Reconciliation(
    tasks,
    new Leases(db),
    results,
    eventLog,
    upstream,
    log,
    tuning.askUpstreamAfterMs ?? 10_000,
    tuning.reconcileEveryMs ?? 1_000,
  );
  const history = new History(db, tasks, images, events, cursors);
  const { push } = config;
  const feedOptions = {
    cursors,
    buffering: { maxEvents: push.bufferEvents, maxBytes: PUSH_BUFFER_BYTES },
    stallMs: tuning.stallMs ?? 30_000,
  };
  const feed = new Feed(eventLog, events, feedOptions, log);
  const watching = new Watching(events, eventLog, feed, cursors, push.replayDays);
  const apiKeys = new ApiKeys(db);
  const keyUse = new KeyUse(apiKeys, log);
  const signInFailures = new SignInFailures(auditLog, log, tuning.signInWindowMs);
  const tokenSigning = new TokenSigning(signer, publicUrl ?? TOKEN_ISSUER);
  const { oidc } = config;
  const providerKeys = oidc && new ProviderKeys(oidc.issuer, log, tuning.providerCooldownMs);
  const provider = oidc && providerKeys && new IdentityProvider(oidc, providerKeys, workspaces);
  // Not waited for: it may be away, and keys work without it.
  void providerKeys?.prepare();
  const access = new Access(apiKeys, tokenSigning, keyUse, signInFailures, provider);
  const connectionLimits = new ConnectionLimits(
    new ConnectionPlaces(db),
    tuning.connectionLeaseMs ?? LEASE_MS,
    log,
  );
  releases.push(() => atMost(ANSWER_MS, 'the places of connections', connectionLimits.stop()));
  const connections = new Connections(
    apiKeys,
    access,
    push.connectionsPerKey,
    rateLimits,
    connectionLimits,
    log,
  );
  releases.push(() =>
    atMost(
      ANSWER_MS,
      'the look at keys, and what is noted of them',
      Promise.all([connections.stop(), keyUse.stop(), signInFailures.stop()]),
    ),
  );
  return {
    addresses,
    rateLimits,
    generation,
    control,
    delivering,
    webhookSecrets,
    inbox,
    pictures,
    pictureServing,
    uploading,
    forgetting,
    reconciliation,
    history,
    watching,
    access,
    tokenSigning,
    connections,
    keyAdministration: new KeyAdministration(apiKeys, workspaces),
    audit: new Audit(auditLog),
    clientTokens: new ClientTokens(tokenSigning, tasks, auditLog),
    budgeting: new Budgeting(budgets, apiKeys, prices),
    usage: new Usage(db),
  };
}
