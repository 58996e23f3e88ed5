import { Webhook } from 'standardwebhooks';
import { databaseNow } from '../../core/primitives/clock.js';
import { newAuditEntry } from '../../core/access/audit-entry.js';
import { type Caller } from '../../core/access/caller.js';
import { type WebhookSecretVersion } from '../../db/access/workspace-repository.js';
import { type ClaimedWebhookDelivery } from '../../db/webhooks/webhook-claims.js';
import { throwIfAny, validateGracePeriod } from '../access/validate-api-key.js';
import { type Dependencies } from '../dependencies.js';

/** The secret that signs a workspace's webhooks, in the form that its endpoints verify with. */
export interface WebhookSecret {
  /** `whsec_` and 32 bytes in base64. */
  secret: string;
  /** Until this time, webhooks also carry a signature by the previous secret. Null when they do not. */
  previousSecretExpiresAt: Date | null;
}

/** Long enough to deploy the new secret to every endpoint. Standard Webhooks recommends no value. */
const DEFAULT_GRACE_PERIOD_SECONDS = 24 * 3_600;

/**
 * Derives the webhook secrets of workspaces from SECRET_KEY and a version number, so that no secret is stored. A rotation
 * increments the version. After a change of SECRET_KEY, keys in SECRET_KEY_PREVIOUS still add their signatures.
 */
export class WebhookSecrets {
  constructor(private readonly deps: Pick<Dependencies, 'signer' | 'workspaces'>) {}

  /** Returns the current secret of the caller's workspace. */
  async current({ workspaceId }: Caller): Promise<WebhookSecret> {
    return this.toWebhookSecret(await this.deps.workspaces.findWebhookSecretVersion(workspaceId));
  }

  /**
   * Replaces the secret. The replaced one still signs for `gracePeriodSeconds`, by default a day, and any older one stops
   * signing at once. Throws InputRejected INVALID_GRACE_PERIOD.
   */
  async rotate(caller: Caller, gracePeriod: number | null): Promise<WebhookSecret> {
    const gracePeriodSeconds = gracePeriod ?? DEFAULT_GRACE_PERIOD_SECONDS;
    throwIfAny(validateGracePeriod(gracePeriodSeconds));
    const { workspaceId } = caller;
    const audit = newAuditEntry(caller, 'WEBHOOK_SECRET_ROTATED', {
      targetId: workspaceId,
      data: { gracePeriodSeconds },
    });
    const { workspaces } = this.deps;
    return this.toWebhookSecret(await workspaces.rotateWebhookSecret(workspaceId, gracePeriodSeconds, audit));
  }

  /** Returns the Standard Webhooks headers of one attempt. During a grace period they hold a signature by each secret. */
  signatureHeaders(
    { id, workspaceId, secretVersion, usesPreviousSecret }: ClaimedWebhookDelivery,
    body: string,
    at: Date,
  ): Record<string, string> {
    const versions = usesPreviousSecret ? [secretVersion, secretVersion - 1] : [secretVersion];
    const secrets = versions.flatMap((version) => this.secretsOf(workspaceId, version));
    return {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(' '),
    };
  }

  private toWebhookSecret({
    id,
    webhookSecretVersion,
    webhookPreviousSecretExpiresAt: previousSecretExpiresAt,
  }: WebhookSecretVersion): WebhookSecret {
    const [secret = ''] = this.secretsOf(id, webhookSecretVersion);
    const isPreviousInUse = previousSecretExpiresAt !== null && previousSecretExpiresAt > databaseNow();
    return { secret, previousSecretExpiresAt: isPreviousInUse ? previousSecretExpiresAt : null };
  }

  private secretsOf(workspaceId: string, version: number): string[] {
    const keys = this.deps.signer.deriveAll('webhook-secret', `${workspaceId}.${version}`);
    return keys.map((key) => `whsec_${key.toString('base64')}`);
  }
}
