import { databaseTimeMs } from '../../core/primitives/clock.js';
import { type ImageVariant } from '../../core/images/image.js';
import { isId } from '../../core/primitives/ids.js';
import { parseUrl } from '../../core/primitives/url.js';
import { type Dependencies } from '../dependencies.js';

/** The token of a callback link: the submission attempt that it was made for, and a signature. */
const CALLBACK_TOKEN = /^([1-9]\d{0,4})\.([\w-]+)$/;
/** 128 bits cannot be guessed, and they keep links short. */
const SIGNATURE_BYTES = 16;
/** The expiry is rounded down to a quarter of the lifetime, so that repeated links are equal and caches can reuse them. */
const EXPIRY_STEPS_PER_LIFETIME = 4;
/** The upstream may fetch it a little later than it says. */
const UPSTREAM_LINK_MARGIN_SECONDS = 900;
const ORIGINAL_VARIANT: ImageVariant = { width: null, format: null };

interface SignedLinksDependencies extends Pick<Dependencies, 'signer'> {
  /** The URL at which browsers reach the service, without a trailing slash. */
  publicUrl: string;
  /** The URL at which the upstream reaches the service. Null when it cannot. */
  urlForUpstream: string | null;
  /** Whether the upstream can fetch images from that URL. It cannot when the address is private. */
  canUpstreamFetchImages: boolean;
  /** The lifetime of image links. Null: unlimited. */
  imageLinkSeconds: number | null;
}

/** Creates and verifies the signed links that Darkroom hands out: images, uploads and upstream callbacks. */
export class SignedLinks {
  constructor(private readonly deps: SignedLinksDependencies) {}

  /** Returns the link of an image or of one of its variants. A browser needs no other credential. */
  imageUrl(imageId: string, { width, format }: ImageVariant = ORIGINAL_VARIANT): string {
    const params = new URLSearchParams({ t: this.imageToken(imageId, this.imageExpiry()) });
    if (width !== null) params.set('w', String(width));
    if (format !== null) params.set('f', format);
    return `${this.deps.publicUrl}/images/${imageId}?${params.toString()}`;
  }

  /** Verifies the token of an image link. Null for an invalid or expired token. `secondsLeft` is null without an expiry. */
  verifyImageToken(imageId: string, token: string): { secondsLeft: number | null } | null {
    const [expiry = '', signature = ''] = token.includes('.') ? token.split('.') : ['', token];
    if (!this.deps.signer.verify('image-link', `${imageId}.${expiry}`, { signature, bytes: SIGNATURE_BYTES }))
      return null;
    if (expiry === '') return { secondsLeft: null };
    const secondsLeft = parseInt(expiry, 36) - Math.floor(databaseTimeMs() / 1000);
    return secondsLeft > 0 ? { secondsLeft } : null;
  }

  /**
   * Returns the image that a link names, for any variant. Null for any other URL. The token is not verified and grants nothing
   * here: it changes with time and with the secret key, and a repeated request must name the same image as before.
   */
  imageIdFromLink(url: string): string | null {
    const parsed = url.startsWith(`${this.deps.publicUrl}/images/`) ? parseUrl(url) : null;
    if (!parsed) return null;
    const imageId = parsed.pathname.slice(parsed.pathname.lastIndexOf('/') + 1).toLowerCase();
    return isId(imageId) ? imageId : null;
  }

  /** Whether the upstream can fetch images from this service. */
  get canUpstreamFetchImages(): boolean {
    return this.deps.canUpstreamFetchImages && this.deps.urlForUpstream !== null;
  }

  /**
   * Returns the link from which the upstream can fetch the source image of a task with this deadline. Null when it cannot. If
   * image links expire, this one works until shortly after the deadline, because it leaves our hands.
   */
  imageUrlForUpstream(imageId: string, deadlineAt: Date): string | null {
    const { urlForUpstream, imageLinkSeconds } = this.deps;
    if (!this.canUpstreamFetchImages) return null;
    const expiresAt = Math.ceil(deadlineAt.getTime() / 1_000) + UPSTREAM_LINK_MARGIN_SECONDS;
    const expiry = imageLinkSeconds === null ? '' : expiresAt.toString(36);
    return `${urlForUpstream}/images/${imageId}?t=${this.imageToken(imageId, expiry)}`;
  }

  /** Returns the link that accepts one image. */
  uploadUrl(uploadId: string): string {
    return `${this.deps.publicUrl}/uploads/${uploadId}?t=${this.deps.signer.sign('upload-link', uploadId, SIGNATURE_BYTES)}`;
  }

  isValidUploadToken(uploadId: string, token: string): boolean {
    return this.deps.signer.verify('upload-link', uploadId, { signature: token, bytes: SIGNATURE_BYTES });
  }

  /**
   * Returns the unguessable link that the upstream posts the result of one submission attempt to. Null when it cannot reach the
   * service.
   */
  upstreamCallbackUrl(taskId: string, attempt: number): string | null {
    const token = `${attempt}.${this.deps.signer.sign('flux-callback', `${taskId}.${attempt}`)}`;
    return this.deps.urlForUpstream && `${this.deps.urlForUpstream}/callbacks/flux/${taskId}/${token}`;
  }

  /** Returns the submission attempt that the token of a callback link was made for. Null for a token that is not the task's. */
  verifyCallbackToken(taskId: string, token: string): number | null {
    const [, attempt = '', signature = ''] = CALLBACK_TOKEN.exec(token) ?? [];
    const isValid = this.deps.signer.verify('flux-callback', `${taskId}.${attempt}`, { signature });
    return isValid ? Number(attempt) : null;
  }

  private imageToken(imageId: string, expiry: string): string {
    const signature = this.deps.signer.sign('image-link', `${imageId}.${expiry}`, SIGNATURE_BYTES);
    return expiry === '' ? signature : `${expiry}.${signature}`;
  }

  /** The expiry in seconds since 1970, in base 36. Empty: never. */
  private imageExpiry(): string {
    if (this.deps.imageLinkSeconds === null) return '';
    const step = Math.max(1, Math.floor(this.deps.imageLinkSeconds / EXPIRY_STEPS_PER_LIFETIME));
    const latest = databaseTimeMs() / 1000 + this.deps.imageLinkSeconds;
    return (Math.floor(latest / step) * step).toString(36);
  }
}
