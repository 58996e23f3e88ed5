import { GraphQLURL } from 'graphql-scalars';
import { Arg, Authorized, Ctx, FieldResolver, ID, Query, Resolver, Root } from 'type-graphql';
import { type Image } from '../core/image.js';
import { type Task } from '../core/task.js';
import { Addresses } from '../services/addresses.js';
import { type Context } from './context.js';
import { ImageType } from './image.type.js';
import { TaskType } from './task.type.js';

@Resolver(() => ImageType)
export class ImageResolver {
  constructor(private readonly addresses: Addresses) {}

  @Authorized('tasks:read')
  @Query(() => ImageType, { nullable: true, description: 'One image; null when there is none with this id.' })
  image(
    @Ctx() { images }: Context,
    @Arg('id', () => ID, { description: 'The id of the image.' }) id: string,
  ): Promise<Image | null> {
    return images.load(id);
  }

  @FieldResolver(() => GraphQLURL, {
    description:
      "Ours, and it lasts: served from the store, never the upstream's expiring link. Works without a key, for whoever was given it.",
  })
  url(@Root() image: Image): string {
    return this.addresses.image(image.id);
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

  @FieldResolver(() => TaskType, { nullable: true, description: 'The task that made it.' })
  task(@Root() image: Image, @Ctx() { tasks }: Context): Promise<Task | null> {
    return tasks.load(image.taskId);
  }

  @FieldResolver(() => ImageType, {
    nullable: true,
    description: 'What it was edited from, when that is one of ours.',
  })
  parent(@Root() image: Image, @Ctx() { images }: Context): Promise<Image | null> | null {
    return image.parentId ? images.load(image.parentId) : null;
  }
}
