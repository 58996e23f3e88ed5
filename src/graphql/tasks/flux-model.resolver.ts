import { Authorized, Field, Int, ObjectType, Query, Resolver } from 'type-graphql';
import { FLUX_MODELS, type FluxModel } from '../../core/tasks/models.js';

@ObjectType('PixelSizeConstraints', {
  description: 'Sizes in pixels that a model accepts.',
  simpleResolvers: true,
})
class PixelSizeConstraintsType {
  @Field(() => Int, { description: 'Minimum width and height in pixels.' })
  minSide!: number;

  @Field(() => Int, { description: 'Maximum width and height in pixels.' })
  maxSide!: number;

  @Field(() => Int, { description: 'Number that width and height must be multiples of.' })
  multipleOf!: number;
}

@ObjectType('FluxModel', {
  description: 'A model and the input it accepts. It has everything a form needs to offer only valid input.',
  simpleResolvers: true,
})
class FluxModelType {
  @Field(() => String, { description: 'Name of the model: the value for `model` in an input.' })
  name!: string;

  @Field(() => Boolean, { description: 'Whether `generateImages` accepts the model.' })
  canGenerate!: boolean;

  @Field(() => Boolean, { description: 'Whether `editImage` accepts the model.' })
  canEdit!: boolean;

  @Field(() => Boolean, {
    description: 'Whether the upstream advises against the model. It may be removed.',
  })
  isDeprecated!: boolean;

  @Field(() => [String], {
    description: 'Accepted aspect ratios, such as "16:9". Empty if the model takes sizes in pixels.',
  })
  aspectRatios!: readonly string[];

  @Field(() => PixelSizeConstraintsType, {
    nullable: true,
    description: 'Accepted sizes in pixels. Null if the model takes aspect ratios.',
  })
  pixelSizes!: PixelSizeConstraintsType | null;

  @Field(() => Int, { description: 'Maximum number of images per request.' })
  maxCount!: number;

  @Field(() => String, { description: 'Size of a generated image when the request has no `size`.' })
  defaultSize!: string;
}

@Resolver(() => FluxModelType)
export class FluxModelResolver {
  @Authorized('tasks:read')
  @Query(() => [FluxModelType], {
    description: 'All models with the input they accept. Requires the scope `tasks:read`.',
  })
  models(): readonly FluxModel[] {
    return FLUX_MODELS;
  }
}
