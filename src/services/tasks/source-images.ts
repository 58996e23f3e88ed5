import { type Caller } from '../../core/access/caller.js';
import { InputRejected } from '../../core/errors.js';
import { type UserErrorCode } from '../../core/primitives/user-error.js';
import { type Task } from '../../core/tasks/task.js';
import { UrlRefused, type SsrfGuard } from '../../net/ssrf-guard.js';
import { type SignedLinks } from '../access/signed-links.js';
import { type ImageRequest } from './request-validation.js';
import { type Dependencies } from '../dependencies.js';

/** Guards for the URLs in requests: those of source images, and those of webhook endpoints. */
export interface UrlGuards {
  sourceImages: SsrfGuard;
  webhooks: SsrfGuard;
}

type RequestReferences = Pick<Task, 'sourceImageId' | 'sourceImageUrl' | 'webhookUrl'>;

/** Checks what a request refers to: stored images, images elsewhere, and webhook endpoints. */
export class SourceImages {
  constructor(
    private readonly deps: Pick<Dependencies, 'images'> & { signedLinks: SignedLinks; urlGuards: UrlGuards },
  ) {}

  /** When the source URL is a signed link to one of the caller's images, replaces it with that image's ID. */
  async resolveOwnLink(caller: Caller, request: ImageRequest): Promise<ImageRequest> {
    const imageId = request.sourceImageUrl && this.deps.signedLinks.imageIdFromLink(request.sourceImageUrl);
    if (!imageId || request.sourceImageId != null) return request;
    const [image] = await this.deps.images.findMany(caller, [imageId]);
    return image ? { ...request, sourceImageUrl: null, sourceImageId: imageId } : request;
  }

  /**
   * Throws InputRejected when the source image is not visible to the caller, or when a URL is not public. The
   * upstream fetches the source URL on our behalf, so it gets the same check.
   */
  async checkUrlsAndAccess(caller: Caller, request: RequestReferences): Promise<void> {
    const { sourceImageId, sourceImageUrl, webhookUrl } = request;
    if (sourceImageId) await this.checkSourceImage(caller, sourceImageId);
    if (sourceImageUrl) {
      await checkUrlAllowed(this.deps.urlGuards.sourceImages, sourceImageUrl, {
        code: 'INVALID_URL',
        field: 'sourceImageUrl',
        problem: 'The source image cannot be fetched',
        advice: 'Use a public http or https URL, or upload the image.',
      });
    }
    if (webhookUrl) {
      await checkUrlAllowed(this.deps.urlGuards.webhooks, webhookUrl, {
        code: 'INVALID_WEBHOOK_URL',
        field: 'webhookUrl',
        problem: 'The result cannot be posted to this URL',
        advice: 'Use a public http or https URL.',
      });
    }
  }

  /** URL from which the upstream fetches a task's source image. Null when the task has none. */
  upstreamSourceUrl(task: Task): string | null {
    return task.sourceImageId
      ? this.deps.signedLinks.imageUrlForUpstream(task.sourceImageId)
      : task.sourceImageUrl;
  }

  private async checkSourceImage(caller: Caller, imageId: string): Promise<void> {
    const field = ['input', 'sourceImageId'];
    const [image] = await this.deps.images.findMany(caller, [imageId]);
    if (!image || image.lostAt || image.deletedAt) {
      const message = 'No image with this ID in your workspace.';
      throw new InputRejected([{ code: 'NOT_FOUND', message, field }]);
    }
    if (this.deps.signedLinks.imageUrlForUpstream(imageId) === null) {
      const message =
        'The upstream cannot fetch this image, because Darkroom has no public URL. Ask the operator to set PUBLIC_URL, or use sourceImageUrl.';
      throw new InputRejected([{ code: 'PUBLIC_URL_REQUIRED', message, field }]);
    }
  }
}

async function checkUrlAllowed(
  guard: SsrfGuard,
  url: string,
  { code, field, problem, advice }: { code: UserErrorCode; field: string; problem: string; advice: string },
): Promise<void> {
  await guard.assertPublicUrl(url).catch((error: unknown) => {
    if (!(error instanceof UrlRefused)) throw error;
    throw new InputRejected([
      { code, message: `${problem}: ${error.reason}. ${advice}`, field: ['input', field] },
    ]);
  });
}
