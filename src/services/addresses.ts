import { type Signer } from '../core/signature.js';

/** Where others reach us: the links that we hand out. Built in one place, so that they can be read back in one. */
export class Addresses {
  constructor(
    private readonly signer: Signer,
    /** Where browsers reach us, without a slash at the end. */
    private readonly baseUrl: string,
    /** Where the upstream reaches us; null when it cannot. */
    private readonly upstreamSees: string | null,
  ) {}

  /** The lasting link of a picture. */
  image(imageId: string): string {
    return `${this.baseUrl}/images/${imageId}`;
  }

  /** The link from which the upstream can fetch one of our pictures; null when it cannot reach us. */
  imageForUpstream(imageId: string): string | null {
    return this.upstreamSees && `${this.upstreamSees}/images/${imageId}`;
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
}
