import { GraphQLJSON } from 'graphql-scalars';
import { Field, ID, InputType, Int, ObjectType } from 'type-graphql';
import { type Task, type TaskPriority } from '../../core/tasks/task.js';
import { Payload } from '../relay/payload.type.js';
import { TaskPriorityEnum, TaskType } from './task.type.js';

/** What both kinds of image requests have in common. The schema shows only the classes that extend it. */
@InputType('ImageRequestInput')
abstract class ImageRequestInput {
  @Field(() => String, {
    nullable: true,
    description:
      'Public http or https URL to which the result is posted, up to 2,048 characters. Omitted: no webhook. See docs/PROTOCOL.md, "Webhooks".',
  })
  webhookUrl?: string | null;

  @Field(() => TaskPriorityEnum, {
    nullable: true,
    defaultValue: 'NORMAL',
    description:
      'Priority among the queued tasks of the same end user. It does not affect other end users or workspaces.',
  })
  priority?: TaskPriority | null;

  @Field(() => GraphQLJSON, {
    nullable: true,
    description: 'Any JSON value of your own, up to 4,096 bytes. `Task.metadata` returns it unchanged.',
  })
  metadata?: unknown;

  @Field(() => String, {
    nullable: true,
    description:
      'Your own ID of the end user that the request is for, 1 to 255 characters. Omit it if the client token is limited to an end user.',
  })
  endUserId?: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Key that makes it safe to send the request again, 1 to 255 characters. A repeated key with the same input returns the existing task. With different input, it gives the user error IDEMPOTENCY_CONFLICT. Default: the header `Idempotency-Key`.',
  })
  idempotencyKey?: string | null;

  @Field(() => Int, {
    nullable: true,
    description: 'Seconds until the task expires, from 10 to 3600. Default: 600.',
  })
  timeoutSeconds?: number | null;
}

@InputType('GenerateImagesInput', { description: 'Input for generating images from a text prompt.' })
export class GenerateImagesInput extends ImageRequestInput {
  @Field(() => String, { description: 'Text that describes the images, 1 to 4,000 characters.' })
  prompt!: string;

  @Field(() => String, {
    nullable: true,
    description: 'Name of a model from `models` with `canGenerate`. Default: flux-dev.',
  })
  model?: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Size in pixels such as "1024x768", or an aspect ratio such as "16:9", depending on the model. Default: the `defaultSize` of the model.',
  })
  size?: string | null;

  @Field(() => Int, {
    nullable: true,
    defaultValue: 1,
    description: "Number of images, from 1 to the model's `maxCount`. The upstream may deliver fewer.",
  })
  count?: number | null;
}

@InputType('EditImageInput', {
  description:
    'Input for editing an image. It needs exactly one source: `sourceImageId` or `sourceImageUrl`.',
})
export class EditImageInput extends ImageRequestInput {
  @Field(() => String, { description: 'Text that describes the change, 1 to 4,000 characters.' })
  prompt!: string;

  @Field(() => ID, {
    nullable: true,
    description: 'ID of the image to edit. It must be stored in Darkroom: generated, edited or uploaded.',
  })
  sourceImageId?: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Public http or https URL of the image to edit, up to 2,048 characters. It must lead directly to the image, not to a page.',
  })
  sourceImageUrl?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Name of a model from `models` with `canEdit`. Default: flux-kontext-pro.',
  })
  model?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Aspect ratio such as "16:9". Default: that of the source image.',
  })
  size?: string | null;
}

@ObjectType('ImageRequestPayload', { simpleResolvers: true })
abstract class ImageRequestPayload extends Payload {
  @Field(() => TaskType, { nullable: true, description: 'The task. Null if there are `userErrors`.' })
  task!: Task | null;

  @Field(() => Boolean, {
    description: 'Whether an earlier request with the same idempotency key created the task.',
  })
  replayed!: boolean;
}

@ObjectType('GenerateImagesPayload', { description: 'Output of `generateImages`.', simpleResolvers: true })
export class GenerateImagesPayload extends ImageRequestPayload {}

@ObjectType('EditImagePayload', { description: 'Output of `editImage`.', simpleResolvers: true })
export class EditImagePayload extends ImageRequestPayload {}
