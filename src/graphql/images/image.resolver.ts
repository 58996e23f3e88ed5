import { GraphQLDateTime, GraphQLURL } from 'graphql-scalars';
import {
  Arg,
  Args,
  Authorized,
  Ctx,
  FieldResolver,
  ID,
  Int,
  Mutation,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import { BadRequest } from '../../core/errors.js';
import { type Image, IMAGE_FORMATS, IMAGE_WIDTHS } from '../../core/images/image.js';
import { linkExpiry } from '../../core/images/link-expiry.js';
import { type Task } from '../../core/tasks/task.js';
import { type SignedLinks } from '../../services/access/signed-links.js';
import { type Retention } from '../../services/images/retention.js';
import { type Uploads } from '../../services/images/uploads.js';
import { type TaskReads } from '../../services/tasks/task-reads.js';
import { toConnection } from '../relay/connection.type.js';
import { PageArgs } from '../relay/page-args.js';
import { withUserErrors } from '../relay/payload.type.js';
import { Input } from '../server/argument-decorators.js';
import { type Context } from '../server/context.js';
import { TaskType } from '../tasks/task.type.js';
import {
  CreateUploadInput,
  CreateUploadPayload,
  DeleteImageInput,
  DeleteImagePayload,
  ImageConnection,
  ImageFormatEnum,
  ImageType,
} from './image.type.js';

interface ImageServices {
  signedLinks: SignedLinks;
  taskReads: TaskReads;
  uploads: Uploads;
  retention: Retention;
}

@Resolver(() => ImageType)
export class ImageResolver {
  constructor(private readonly services: ImageServices) {}

  @Authorized('tasks:read')
  @Query(() => ImageType, {
    nullable: true,
    description: 'One image. Null if no image has this ID. Requires the scope `tasks:read`.',
  })
  image(
    @Ctx() { images }: Context,
    @Arg('id', () => ID, { description: 'ID of the image.' }) id: string,
  ): Promise<Image | null> {
    return images.load(id);
  }

  @Authorized('images:write')
  @Mutation(() => CreateUploadPayload, {
    description:
      'Creates a signed link for uploading an image that you want to edit. A browser can use the link without an API key. Requires the scope `images:write`.',
  })
  createUpload(
    @Ctx() { caller }: Context,
    @Input(CreateUploadInput, 'The image to upload.') { fileName }: InstanceType<typeof CreateUploadInput>,
  ) {
    return withUserErrors(() => this.services.uploads.create(caller, fileName ?? null));
  }

  @Authorized('images:write')
  @Mutation(() => DeleteImagePayload, {
    description:
      'Deletes an image permanently. Its URLs then return 410. Its bytes are removed unless another image has the same bytes. Its record and events remain. Requires the scope `images:write`.',
  })
  deleteImage(
    @Ctx() { caller }: Context,
    @Input(DeleteImageInput, 'The image to delete.') { id }: InstanceType<typeof DeleteImageInput>,
  ) {
    return withUserErrors(() => this.services.retention.deleteImage(caller, id));
  }

  @FieldResolver(() => GraphQLURL, {
    description:
      "Signed link to Darkroom's copy. Anyone who has it can read the image without an API key. It does not expire unless the operator has set a lifetime.",
  })
  url(
    @Root() image: Image,
    @Arg('width', () => Int, {
      nullable: true,
      description: `Width in pixels, one of ${IMAGE_WIDTHS.join(', ')}. A narrower image keeps its width. Default: the width of the stored image.`,
    })
    width: number | null,
    @Arg('format', () => ImageFormatEnum, {
      nullable: true,
      description: 'Format of the image. Default: ORIGINAL.',
    })
    format: string | null,
  ): string {
    if (typeof width === 'number' && !IMAGE_WIDTHS.some((servedWidth) => servedWidth === width)) {
      throw new BadRequest(`Unsupported image width ${width}. Use one of: ${IMAGE_WIDTHS.join(', ')}.`);
    }
    const imageFormat = IMAGE_FORMATS.find((name) => name.toUpperCase() === format);
    return this.services.signedLinks.imageUrl(image.id, {
      width: width ?? null,
      format: imageFormat ?? null,
    });
  }

  @FieldResolver(() => GraphQLDateTime, {
    nullable: true,
    description: 'Time until which `upstreamUrl` works, as its signature says. Null if it does not say.',
  })
  upstreamUrlExpiresAt(@Root() image: Image): Date | null {
    return linkExpiry(image.upstreamUrl);
  }

  @FieldResolver(() => ImageConnection, {
    description: 'Images that were edited from this one, oldest first.',
  })
  async edits(@Root() image: Image, @Ctx() { caller }: Context, @Args() page: PageArgs) {
    return toConnection(await this.services.taskReads.pageOfEdits(caller, image.id, page));
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'SHA-256 of the stored original, in hexadecimal.',
  })
  sha256(@Root() image: Image): string | null {
    return image.sha256 && Buffer.from(image.sha256).toString('hex');
  }

  @FieldResolver(() => String, {
    nullable: true,
    description:
      'ThumbHash (a blurred preview of about 25 bytes) in base64. Show it as a placeholder while the image loads.',
  })
  thumbhash(@Root() image: Image): string | null {
    return image.thumbhash && Buffer.from(image.thumbhash).toString('base64');
  }

  @FieldResolver(() => TaskType, {
    nullable: true,
    description: 'Task that created the image. Null for an upload.',
  })
  task(@Root() image: Image, @Ctx() { tasks }: Context): Promise<Task | null> | null {
    return image.taskId ? tasks.load(image.taskId) : null;
  }

  @FieldResolver(() => ImageType, {
    nullable: true,
    description: 'Image that this one was edited from. Null if there is none or Darkroom does not store it.',
  })
  parent(@Root() image: Image, @Ctx() { images }: Context): Promise<Image | null> | null {
    return image.parentId ? images.load(image.parentId) : null;
  }
}
