import { type Caller } from '../../core/access/caller.js';
import { InputRejected } from '../../core/errors.js';
import { type InputFaultCode } from '../../core/tasks/input-fault.js';
import { type Task } from '../../core/tasks/task.js';
import { type Images } from '../../db/images/image-repository.js';
import { AddressRefused, type AddressGuard } from '../../net/guard.js';
import { type Addresses } from '../access/signed-links.js';
import { type CheckedRequest, type Wish } from './request-validation.js';

/** Where strangers' addresses may lead: of pictures that are fetched, and of receivers that results are posted to. */
export interface Guards {
  sources: AddressGuard;
  receivers: AddressGuard;
}

/** What wishes point to: images of ours, pictures elsewhere, and receivers of results. */
export class References {
  constructor(
    private readonly images: Images,
    private readonly addresses: Addresses,
    private readonly guards: Guards,
  ) {}

  /** The address of one of the caller's images, in an answer of ours, is that image; the wish then names it. */
  async recognize(caller: Caller, wish: Wish): Promise<Wish> {
    const imageId = wish.sourceImageUrl && this.addresses.readImageLink(wish.sourceImageUrl);
    if (!imageId || wish.sourceImageId != null) return wish;
    const [image] = await this.images.findMany(caller, [imageId]);
    return image ? { ...wish, sourceImageUrl: null, sourceImageId: imageId } : wish;
  }

  /** Throws InputRejected for what the caller cannot reach, and for where we, or the upstream in our name, would not go. */
  async check(caller: Caller, request: CheckedRequest): Promise<void> {
    const { sourceImageId, sourceImageUrl, callbackUrl } = request;
    if (sourceImageId) await this.checkSourceImage(caller, sourceImageId);
    // The upstream fetches it, in our name: not from where we would not go ourselves.
    if (sourceImageUrl) {
      const refused = {
        code: 'INVALID_URL',
        field: 'sourceImageUrl',
        what: 'The picture cannot be fetched',
      } as const;
      const advice = 'Give a public http or https address, or upload the picture.';
      await checkReach(this.guards.sources, sourceImageUrl, { ...refused, advice });
    }
    if (callbackUrl) {
      const refused = { code: 'INVALID_CALLBACK_URL', field: 'callbackUrl' } as const;
      const words = {
        what: 'Results cannot be posted there',
        advice: 'Give a public http or https address.',
      };
      await checkReach(this.guards.receivers, callbackUrl, { ...refused, ...words });
    }
  }

  /** Where the upstream fetches a task's source image; null where it has none. */
  sourceUrl(task: Task): string | null {
    return task.sourceImageId ? this.addresses.imageForUpstream(task.sourceImageId) : task.sourceImageUrl;
  }

  private async checkSourceImage(caller: Caller, imageId: string): Promise<void> {
    const field = ['input', 'sourceImageId'];
    const [image] = await this.images.findMany(caller, [imageId]);
    if (!image || image.lostAt || image.deletedAt) {
      const message = 'There is no image with this id in your workspace.';
      throw new InputRejected([{ code: 'NOT_FOUND', message, field }]);
    }
    if (this.addresses.imageForUpstream(imageId) === null) {
      const message =
        'The upstream fetches the picture from us, and cannot: set PUBLIC_URL to a public address at which it reaches this service.';
      throw new InputRejected([{ code: 'PUBLIC_URL_REQUIRED', message, field }]);
    }
  }
}

async function checkReach(
  guard: AddressGuard,
  url: string,
  { code, field, what, advice }: { code: InputFaultCode; field: string; what: string; advice: string },
): Promise<void> {
  await guard.mayReach(url).catch((error: unknown) => {
    if (!(error instanceof AddressRefused)) throw error;
    throw new InputRejected([
      { code, message: `${what}: ${error.reason}. ${advice}`, field: ['input', field] },
    ]);
  });
}
