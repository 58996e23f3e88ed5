import { type Readable } from 'node:stream';
import { TooManyConnections } from '../../core/errors.js';
import { type Image } from '../../core/images/image.js';

const REPLACED =
  'A newer upload to the same link has replaced this one, and failed. Send one upload at a time.';

/** A newer body has arrived at the same link. */
class UploadReplaced extends TooManyConnections {}

/** Receives the bodies of a link one at a time on this instance, in the order of their arrival. */
export class UploadTurns {
  /** Bodies that are being received or stored, by link. */
  private readonly current = new Map<string, UploadTurn>();
  private arrivals = 0;

  /** To be called when a body arrives. */
  arrive(linkId: string, body: Readable): UploadTurn {
    return new UploadTurn({ linkId, body, arrival: ++this.arrivals }, this.current);
  }
}

/** Calls back when the whole body is here. Then no newer one replaces it. */
type Receive = (onReceived: () => void) => Promise<Image>;

/**
 * One body of a link. A newer one replaces it while it is still on its way, because a client that lost its connection sends
 * again long before this service notices.
 *
 *   arrived -> current -> received -> ended
 *   arrived or current -> replaced    a newer one has become current
 */
class UploadTurn {
  private isReplaced = false;
  private isReceived = false;
  /** Resolves when `receive` has succeeded or failed. */
  private ended: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly upload: { linkId: string; body: Readable; arrival: number },
    private readonly current: Map<string, UploadTurn>,
  ) {}

  /**
   * Receives the body, after the one that it replaces has ended. Returns null if another one was waited for instead: the link
   * may then have its image, and if it has none, this is to be called again. Throws TooManyConnections when the one that
   * replaced it failed.
   */
  async take(receive: Receive): Promise<Image | null> {
    const { linkId, arrival } = this.upload;
    const other = this.current.get(linkId);
    // PostgreSQL can answer a newer one first.
    if (other && other.upload.arrival > arrival) this.isReplaced = true;
    if (other && (other.isReceived || this.isReplaced)) {
      await other.ended;
      return null;
    }
    if (this.isReplaced) throw new TooManyConnections(REPLACED);
    this.current.set(linkId, this);
    const result = this.receiveAfter(other, receive);
    this.ended = result.catch(() => undefined);
    return result;
  }

  private async receiveAfter(other: UploadTurn | undefined, receive: Receive): Promise<Image | null> {
    try {
      other?.replace();
      await other?.ended;
      if (this.isReplaced) return null;
      return await receive(() => (this.isReceived = true));
    } catch (error) {
      if (error instanceof UploadReplaced) return null;
      throw error;
    } finally {
      if (this.current.get(this.upload.linkId) === this) this.current.delete(this.upload.linkId);
    }
  }

  private replace(): void {
    this.isReplaced = true;
    this.upload.body.destroy(new UploadReplaced(REPLACED));
  }
}
