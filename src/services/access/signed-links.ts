import { type Variant } from '../../core/images/image.js';
import { type Signer } from '../../core/access/signer.js';
import { parseUrl } from '../../core/primitives/url.js';

/** 128 bits: nobody guesses one, and a link stays short. */
const TOKEN_BYTES = 16;
/** Links of the same quarter of their lifetime are the same, so that browsers and caches meet them again. */
const EXPIRY_STEPS = 4;
const OWN_FORM: Variant = { width: null, format: null };

/** Where others reach us: the links that we hand out. Built in one place, so that they can be read back in one. */
export class Addresses {
  constructor(
    private readonly signer: Signer,
    /** Where browsers reach us, without a slash at the end. */
    private readonly baseUrl: string,
    /** Where the upstream reaches us; null when it cannot. */
    private readonly upstreamSees: string | null,
    /** Whether the upstream can also fetch a picture from there: it cannot when that is a private address. */
    private readonly upstreamFetches: boolean,
    /** How long links to pictures serve; null: for ever. */
    private readonly imageLinkSeconds: number | null,
  ) {}

  /** The link of a picture, in its own form or in another; a browser needs nothing else. */
  image(imageId: string, { width, format }: Variant = OWN_FORM): string {
    const params = new URLSearchParams({ t: this.imageToken(imageId, this.imageExpiry()) });
    if (width !== null) params.set('w', String(width));
    if (format !== null) params.set('f', format);
    return `${this.baseUrl}/images/${imageId}?${params.toString()}`;
  }

  /** What an image link's token says; null for one that we did not sign, or whose time is over. */
  readImageToken(imageId: string, token: string): { secondsLeft: number | null } | null {
    const [expiry = '', signature = ''] = token.includes('.') ? token.split('.') : ['', token];
    if (!this.signer.verify('image-link', `${imageId}.${expiry}`, signature, TOKEN_BYTES)) return null;
    if (expiry === '') return { secondsLeft: null };
    const secondsLeft = parseInt(expiry, 36) - Math.floor(Date.now() / 1000);
    return secondsLeft > 0 ? { secondsLeft } : null;
  }

  /** The image whose link this is, whatever its form; null for every other address, and when the link's time is over. */
  readImageLink(url: string): string | null {
    const parsed = url.startsWith(`${this.baseUrl}/images/`) ? parseUrl(url) : null;
    if (!parsed) return null;
    const { pathname, searchParams } = parsed;
    const imageId = pathname.slice(pathname.lastIndexOf('/') + 1).toLowerCase();
    return this.readImageToken(imageId, searchParams.get('t') ?? '') && imageId;
  }

  /** The link from which the upstream can fetch one of our pictures; null when it cannot reach us. It does not expire. */
  imageForUpstream(imageId: string): string | null {
    if (!this.upstreamFetches) return null;
    return this.upstreamSees && `${this.upstreamSees}/images/${imageId}?t=${this.imageToken(imageId, '')}`;
  }

  /** The link that one picture can be sent to. */
  upload(uploadId: string): string {
    return `${this.baseUrl}/uploads/${uploadId}?t=${this.signer.sign('upload-link', uploadId, TOKEN_BYTES)}`;
  }

  isUploadToken(uploadId: string, token: string): boolean {
    return this.signer.verify('upload-link', uploadId, token, TOKEN_BYTES);
  }

  /** The unguessable link that a task's result is posted to; null when the upstream cannot reach us. */
  callback(taskId: string): string | null {
    const token = this.signer.sign('flux-callback', taskId);
    return this.upstreamSees && `${this.upstreamSees}/callbacks/flux/${taskId}/${token}`;
  }

  /** Whether the token is the one of this task's callback link. Takes the same time for every wrong one. */
  isCallbackToken(taskId: string, token: string): boolean {
    return this.signer.verify('flux-callback', taskId, token);
  }

  private imageToken(imageId: string, expiry: string): string {
    const signature = this.signer.sign('image-link', `${imageId}.${expiry}`, TOKEN_BYTES);
    return expiry === '' ? signature : `${expiry}.${signature}`;
  }

  /** Seconds since 1970 in base 36; empty: never. */
  private imageExpiry(): string {
    if (this.imageLinkSeconds === null) return '';
    const step = Math.max(1, Math.floor(this.imageLinkSeconds / EXPIRY_STEPS));
    const earliest = Date.now() / 1000 + this.imageLinkSeconds;
    return (Math.ceil(earliest / step) * step).toString(36);
  }
}
