import { GraphQLURL } from 'graphql-scalars';
import { Arg, Authorized, Ctx, FieldResolver, ID, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { BadRequest } from '../../core/errors.js';
import { type Image, IMAGE_FORMATS, IMAGE_WIDTHS } from '../../core/images/image.js';
import { type Task } from '../../core/tasks/task.js';
import { Addresses } from '../../services/access/signed-links.js';
import { Forgetting } from '../../services/images/retention.js';
import { History } from '../../services/tasks/history.js';
import { Uploading } from '../../services/images/uploads.js';
import { ImageConnection, toConnection } from '../relay/connection.type.js';
import { type Context } from '../server/context.js';
import { DeleteImageInput, DeleteImagePayload } from './delete-image.input.js';
import { ImageFormatEnum, ImageType } from './image.type.js';
import { TaskType } from '../tasks/task.type.js';
import { CreateUploadInput, CreateUploadPayload } from './create-upload.input.js';
import { withUserErrors } from '../relay/user-error.type.js';

@Resolver(() => ImageType)
export class ImageResolver {
  constructor(
    private readonly addresses: Addresses,
    private readonly history: History,
    private readonly uploading: Uploading,
    private readonly forgetting: Forgetting,
  ) {}

  @Authorized('tasks:read')
  @Query(() => ImageType, { nullable: true, description: 'One image; null when there is none with this id.' })
  image(
    @Ctx() { images }: Context,
    @Arg('id', () => ID, { description: 'The id of the image.' }) id: string,
  ): Promise<Image | null> {
    return images.load(id);
  }

  @Authorized('images:write')
  @Mutation(() => CreateUploadPayload, {
    description:
      "Makes a link to which a person's own picture can be sent, to be edited. It works from a browser.",
  })
  createUpload(
    @Ctx() { caller }: Context,
    @Arg('input', () => CreateUploadInput, { description: 'What will be sent.' })
    { fileName }: CreateUploadInput,
  ) {
    return withUserErrors({ upload: null }, () => this.uploading.create(caller, fileName ?? null));
  }

  @Authorized('images:write')
  @Mutation(() => DeleteImagePayload, {
    description:
      'Takes an image away for good: its links answer 410, and its bytes are removed unless another image has the same. The history stays.',
  })
  deleteImage(
    @Ctx() { caller }: Context,
    @Arg('input', () => DeleteImageInput, { description: 'Which image.' }) { id }: DeleteImageInput,
  ) {
    return withUserErrors({ image: null }, () => this.forgetting.deleteImage(caller, id));
  }

  @FieldResolver(() => GraphQLURL, {
    description:
      "Ours, and it lasts: served from the store, never the upstream's expiring link. Works without a key, for whoever was given it; an operator can limit how long.",
  })
  url(
    @Root() image: Image,
    @Arg('width', () => Int, {
      nullable: true,
      description: `In pixels, one of ${IMAGE_WIDTHS.join(', ')}; a picture that is not wider is served as it is. Absent: its own.`,
    })
    width: number | null,
    @Arg('format', () => ImageFormatEnum, { nullable: true, description: 'Absent: ORIGINAL.' })
    format: string | null,
  ): string {
    if (typeof width === 'number' && !IMAGE_WIDTHS.some((known) => known === width)) {
      throw new BadRequest(
        `Pictures are not served in a width of ${width}; ask for one of ${IMAGE_WIDTHS.join(', ')}.`,
      );
    }
    const known = IMAGE_FORMATS.find((name) => name.toUpperCase() === format);
    return this.addresses.image(image.id, { width: width ?? null, format: known ?? null });
  }

  @FieldResolver(() => ImageConnection, { description: 'What was edited from it, oldest first.' })
  async edits(
    @Root() image: Image,
    @Ctx() { caller }: Context,
    @Arg('first', () => Int, { defaultValue: 20, description: 'How many, 1 to 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'endCursor of the page before.' })
    after: string | null,
  ) {
    return toConnection(await this.history.pageOfEdits(caller, image.id, first, after ?? null));
  }

  @FieldResolver(() => String, { nullable: true, description: 'Hex SHA-256 of the stored original.' })
  sha256(@Root() image: Image): string | null {
    return image.sha256 && Buffer.from(image.sha256).toString('hex');
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'Base64 ThumbHash, for a placeholder before the picture loads.',
  })
  thumbhash(@Root() image: Image): string | null {
    return image.thumbhash && Buffer.from(image.thumbhash).toString('base64');
  }

  @FieldResolver(() => TaskType, {
    nullable: true,
    description: 'The task that made it; null for an upload.',
  })
  task(@Root() image: Image, @Ctx() { tasks }: Context): Promise<Task | null> | null {
    return image.taskId ? tasks.load(image.taskId) : null;
  }

  @FieldResolver(() => ImageType, {
    nullable: true,
    description: 'What it was edited from, when that is one of ours.',
  })
  parent(@Root() image: Image, @Ctx() { images }: Context): Promise<Image | null> | null {
    return image.parentId ? images.load(image.parentId) : null;
  }
}
