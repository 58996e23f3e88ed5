import { PriceList } from '../core/prices.js';
import { Allowances } from '../db/allowances.js';
import { ApiKeys } from '../db/api-keys.js';
import { AuditLog } from '../db/audit-log.js';
import { Blobs } from '../db/blobs.js';
import { Budgets } from '../db/budgets.js';
import { Callbacks } from '../db/callbacks.js';
import { ConnectionPlaces } from '../db/connection-places.js';
import { Flights } from '../db/flights.js';
import { Leases } from '../db/leases.js';
import { OutgoingCallbacks } from '../db/outgoing-callbacks.js';
import { Uploads } from '../db/uploads.js';
import { Workspaces } from '../db/workspaces.js';
import { Feed } from '../events/feed.js';
import { isPrivateUrl } from '../net/guard.js';
import { Access } from '../services/access.js';
import { Addresses } from '../services/addresses.js';
import { Audit } from '../services/audit.js';
import { Budgeting } from '../services/budgeting.js';
import { CallbackInbox } from '../services/callback-inbox.js';
import { ClientTokens } from '../services/client-tokens.js';
import { ConnectionLimits, LEASE_MS } from '../services/connection-limits.js';
import { Connections } from '../services/connections.js';
import { ATTEMPT_TIMEOUT_MS, Delivering } from '../services/delivering.js';
import { RETRY_DELAYS_MS } from '../services/delivery-end.js';
import { Forgetting } from '../services/forgetting.js';
import { Generation } from '../services/generation.js';
import { History } from '../services/history.js';
import { IdentityProvider } from '../services/identity-provider.js';
import { KeyAdministration } from '../services/key-administration.js';
import { KeyUse } from '../services/key-use.js';
import { PictureServing } from '../services/picture-serving.js';
import { Pictures } from '../services/pictures.js';
import { ProviderKeys } from '../services/provider-keys.js';
import { RateLimits, WINDOW_MS } from '../services/rate-limits.js';
import { Reconciliation } from '../services/reconciliation.js';
import { References } from '../services/references.js';
import { SignInFailures } from '../services/sign-in-failures.js';
import { Results } from '../services/results.js';
import { Spending } from '../services/spending.js';
import { TaskControl } from '../services/task-control.js';
import { TokenSigning } from '../services/token-signing.js';
import { Uploading } from '../services/uploading.js';
import { Usage } from '../services/usage.js';
import { Watching } from '../services/watching.js';
import { WebhookSecrets } from '../services/webhook-secrets.js';
import { type Machines } from './machines.js';
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
