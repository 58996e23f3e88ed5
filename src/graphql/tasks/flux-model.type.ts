import { Field, Int, ObjectType } from 'type-graphql';

@ObjectType('PixelRule', { description: 'Which sizes in pixels a model takes.', simpleResolvers: true })
export class PixelRuleType {
  @Field(() => Int, { description: 'Smallest width or height.' })
  minSide!: number;

  @Field(() => Int, { description: 'Largest width or height.' })
  maxSide!: number;

  @Field(() => Int, { description: 'Each side is a multiple of this.' })
  multipleOf!: number;
}

@ObjectType('FluxModel', {
  description: 'What a model accepts, so that a form can be built from it.',
  simpleResolvers: true,
})
export class FluxModelType {
  @Field(() => String, { description: 'What goes into `model` of an input.' })
  name!: string;

  @Field(() => Boolean, { description: 'Whether generateImages takes it.' })
  canGenerate!: boolean;

  @Field(() => Boolean, { description: 'Whether editImage takes it.' })
  canEdit!: boolean;

  @Field(() => Boolean, { description: 'The upstream advises against it and may remove it.' })
  isDeprecated!: boolean;

  @Field(() => [String], { description: 'Ratios it accepts, such as "16:9"; empty when it takes pixels.' })
  ratios!: readonly string[];

  @Field(() => PixelRuleType, { nullable: true, description: 'Pixel rule; null when it takes ratios.' })
  pixels!: PixelRuleType | null;

  @Field(() => Int, { description: 'The most pictures one request may ask for.' })
  maxCount!: number;

  @Field(() => String, { description: 'The size of a generated picture when none is given.' })
  defaultSize!: string;
}
