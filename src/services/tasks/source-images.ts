import { type Caller } from '../../core/access/caller.js';
import { workspaceVisibility } from '../../core/access/visibility.js';
import { InputRejected } from '../../core/errors.js';
import { type Image } from '../../core/images/image.js';
import { findModel } from '../../core/tasks/models.js';
import { nearestRatio } from '../../core/tasks/sizes.js';
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

  /**
   * When the source URL is a link to one of the caller's images, expired or not, replaces it with that image's ID. The caller
   * could send the ID as well.
   */
  async resolveOwnLink(caller: Caller, request: ImageRequest): Promise<ImageRequest> {
    const imageId = request.sourceImageUrl && this.deps.signedLinks.imageIdFromLink(request.sourceImageUrl);
    if (!imageId || request.sourceImageId != null) return request;
    const [image] = await this.deps.images.findMany(caller, [imageId]);
    return image ? { ...request, sourceImageUrl: null, sourceImageId: imageId } : request;
  }

  /**
   * Throws InputRejected when the source image is not visible to the caller, or when a URL is not public. The
   * upstream fetches the source URL on our behalf, so it gets the same check. Returns the source image if it is a stored one.
   */
  async checkUrlsAndAccess(caller: Caller, request: RequestReferences): Promise<Image | null> {
    const { sourceImageId, sourceImageUrl, webhookUrl } = request;
    const sourceImage = sourceImageId ? await this.findSourceImage(caller, sourceImageId) : null;
    const sourceProblem =
      sourceImageUrl && (await refusalReason(this.deps.urlGuards.sourceImages, sourceImageUrl, caller));
    if (sourceProblem) {
      const message = `The source image cannot be fetched: ${sourceProblem}. Use a public http or https URL, or upload the image.`;
      throw InputRejected.argument('INVALID_URL', 'sourceImageUrl', message);
    }
    const webhookProblem =
      webhookUrl && (await refusalReason(this.deps.urlGuards.webhooks, webhookUrl, caller));
    if (webhookProblem) {
      const message = `The result cannot be posted to this URL: ${webhookProblem}. Use a public http or https URL.`;
      throw InputRejected.argument('INVALID_WEBHOOK_URL', 'webhookUrl', message);
    }
    return sourceImage;
  }

  /** URL from which the upstream fetches a task's source image. Null when the task has none. */
  upstreamSourceUrl(task: Task): string | null {
    return task.sourceImageId
      ? this.deps.signedLinks.imageUrlForUpstream(task.sourceImageId, task.deadlineAt)
      : task.sourceImageUrl;
  }

  /**
   * The size to ask the upstream for. That of the request, or the one that was chosen for it, needs no lookup. The size of an image
   * that was not stored yet when its edit was requested is looked up now. Null: the model's default.
   */
  async upstreamSize(task: Task): Promise<string | null> {
    const { kind, workspaceId, sourceImageId } = task;
    const size = task.size ?? task.upstreamSize ?? null;
    if (size !== null || kind !== 'EDIT' || sourceImageId === null) return size;
    // The task is being sent by now: without the image, the default will do.
    const [image] = await this.deps.images
      .findMany(workspaceVisibility(workspaceId), [sourceImageId])
      .catch(() => []);
    return sizeOfEdit(task, image ?? null);
  }

  private async findSourceImage(caller: Caller, imageId: string): Promise<Image> {
    const field = 'sourceImageId';
    const [image] = await this.deps.images.findMany(caller, [imageId]);
    if (!image || image.lostAt || image.deletedAt)
      throw InputRejected.argument('NOT_FOUND', field, 'No image with this ID in your workspace.');
    if (!this.deps.signedLinks.canUpstreamFetchImages) {
      const message =
        'The upstream cannot fetch this image, because Darkroom has no public URL. Ask the operator to set PUBLIC_URL, or use sourceImageUrl.';
      throw InputRejected.argument('PUBLIC_URL_REQUIRED', field, message);
    }
    return image;
  }
}

/**
 * The aspect ratio nearest to that of the source image, for an edit without a size: the upstream wants a size, and its default
 * would crop. Null for other requests, for an image whose size is not known, and for a model that takes no ratio.
 */
export function sizeOfEdit(
  { kind, model: name, size }: Pick<Task, 'kind' | 'model' | 'size'>,
  sourceImage: Image | null,
): string | null {
  const model = findModel(name);
  if (kind !== 'EDIT' || size !== null || !model || !sourceImage?.width || !sourceImage.height) return null;
  return nearestRatio(model, sourceImage.width, sourceImage.height);
}

/** Why the guard refuses a URL. Null when it is public. */
async function refusalReason(guard: SsrfGuard, url: string, { workspaceId }: Caller): Promise<string | null> {
  try {
    await guard.assertPublicUrl(url, workspaceId);
    return null;
  } catch (error) {
    if (error instanceof UrlRefused) return error.reason;
    throw error;
  }
}
