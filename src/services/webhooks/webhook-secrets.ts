import { Webhook } from 'standardwebhooks';
import { auditEntry } from '../../core/access/audit-entry.js';
import { type Caller } from '../../core/access/caller.js';
import { InputRejected } from '../../core/errors.js';
import { type Signer } from '../../core/access/signer.js';
import { type Workspaces } from '../../db/access/workspace-repository.js';

/** What callbacks of a workspace are signed with, as its receivers are given it. */
export interface WebhookSecret {
  /** `whsec_` and 32 bytes in base64. */
  secret: string;
  /** Until when callbacks carry a signature by the secret before as well; null: they do not. */
  previousUntil: Date | null;
}

/** Long enough to bring the new secret to every receiver; Standard Webhooks names no time. */
const DEFAULT_OVERLAP_SECONDS = 24 * 3_600;
const MAX_OVERLAP_SECONDS = 7 * 24 * 3_600;

/**
 * The secrets of workspaces. They are derived from SECRET_KEY and a number, so that none is kept anywhere: the next number
 * is the next secret. When SECRET_KEY itself is changed, SECRET_KEY_OLD still signs.
 */
export class WebhookSecrets {
  constructor(
    private readonly signer: Signer,
    private readonly workspaces: Workspaces,
  ) {}

  /** The present secret of the caller's workspace. */
  async current({ workspaceId }: Caller): Promise<WebhookSecret> {
    const { version, overlapUntil } = await this.workspaces.webhookSecret(workspaceId);
    return this.show(workspaceId, version, overlapUntil);
  }

  /**
   * A new secret. The present one still signs for `overlapSeconds` (default a day); the one before it no longer. Throws
   * InputRejected INVALID_OVERLAP.
   */
  async rotate(caller: Caller, overlap: number | null): Promise<WebhookSecret> {
    const overlapSeconds = overlap ?? DEFAULT_OVERLAP_SECONDS;
    if (overlapSeconds < 0 || overlapSeconds > MAX_OVERLAP_SECONDS) {
      const message = `The overlap is ${overlapSeconds} seconds; give 0 to ${MAX_OVERLAP_SECONDS}.`;
      throw new InputRejected([{ code: 'INVALID_OVERLAP', message, field: ['input', 'overlapSeconds'] }]);
    }
    const { workspaceId } = caller;
    const audit = auditEntry(caller, 'WEBHOOK_SECRET_ROTATED', workspaceId, { overlapSeconds });
    const { version, overlapUntil } = await this.workspaces.rotateWebhookSecret(
      workspaceId,
      overlapSeconds,
      audit,
    );
    return this.show(workspaceId, version, overlapUntil);
  }

  /** The headers of Standard Webhooks for one attempt. While secrets overlap there is a signature by each of them. */
  headers(
    { id, workspaceId, secretVersion, secretsOverlap }: SignedCallback,
    body: string,
    at: Date,
  ): Record<string, string> {
    const versions = secretsOverlap ? [secretVersion, secretVersion - 1] : [secretVersion];
    const secrets = versions.flatMap((version) => this.secretsOf(workspaceId, version));
    return {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(' '),
    };
  }

  private show(workspaceId: string, version: number, overlapUntil: Date | null): WebhookSecret {
    const [secret = ''] = this.secretsOf(workspaceId, version);
    return { secret, previousUntil: overlapUntil && overlapUntil > new Date() ? overlapUntil : null };
  }

  private secretsOf(workspaceId: string, version: number): string[] {
    const keys = this.signer.deriveAll('webhook-secret', `${workspaceId}.${version}`);
    return keys.map((key) => `whsec_${key.toString('base64')}`);
  }
}

interface SignedCallback {
  id: string;
  workspaceId: string;
  secretVersion: number;
  secretsOverlap: boolean;
}
