import { Authorized, Int, Query, Resolver } from 'type-graphql';
import { FLUX_MODELS, type FluxModel, type PixelSizeConstraints } from '../../core/tasks/models.js';
import { createObjectType, field, nullable } from '../server/schema-types.js';

const PixelSizeConstraintsType = createObjectType<PixelSizeConstraints>(
  'PixelSizeConstraints',
  'Sizes in pixels that a model accepts.',
  {
    minSide: field(Int, 'Minimum width and height in pixels.'),
    maxSide: field(Int, 'Maximum width and height in pixels.'),
    multipleOf: field(Int, 'Number that width and height must be multiples of.'),
  },
);

const FluxModelType = createObjectType<FluxModel>(
  'FluxModel',
  'A model and the input it accepts. It has everything a form needs to offer only valid input.',
  {
    name: field(String, 'Name of the model: the value for `model` in an input.'),
    canGenerate: field(Boolean, 'Whether `generateImages` accepts the model.'),
    canEdit: field(Boolean, 'Whether `editImage` accepts the model.'),
    isDeprecated: field(Boolean, 'Whether the upstream advises against the model. It may be removed.'),
    aspectRatios: field(
      [String],
      'Accepted aspect ratios, such as "16:9". Empty if the model takes sizes in pixels.',
    ),
    pixelSizes: nullable(
      PixelSizeConstraintsType,
      'Accepted sizes in pixels. Null if the model takes aspect ratios.',
    ),
    maxCount: field(Int, 'Maximum number of images per request.'),
    defaultSize: field(String, 'Size of a generated image when the request has no `size`.'),
  },
);

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
