import { GraphQLDateTime, GraphQLURL } from 'graphql-scalars';
import { Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { IMAGE_FORMATS } from '../../core/images/image.js';

@ObjectType('Image', {
  description:
    'One finished picture. Its sides, type and placeholder are null until our copy of it is stored, a moment after the task succeeded; the event IMAGE_STORED tells when.',
  simpleResolvers: true,
})
export class ImageType {
  @Field(() => ID, { description: 'A UUIDv7.' })
  id!: string;

  @Field(() => Int, { description: "Place in the upstream's order, from 0." })
  index!: number;

  @Field(() => GraphQLURL, {
    nullable: true,
    description: "The upstream's own link, for the record. It expires; use `url`.",
  })
  upstreamUrl!: string | null;

  @Field(() => Int, { nullable: true, description: 'In pixels, as the picture is meant to be seen.' })
  width!: number | null;

  @Field(() => Int, { nullable: true, description: 'In pixels, as the picture is meant to be seen.' })
  height!: number | null;

  @Field(() => String, { nullable: true, description: 'Found by decoding the bytes, such as "image/png".' })
  mimeType!: string | null;

  @Field(() => Int, { nullable: true, description: 'Bytes of the stored original.' })
  byteSize!: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'What makes the same picture again, as the upstream gave it.',
  })
  seed!: string | null;

  @Field(() => Float, { nullable: true, description: 'Seconds the upstream says it took.' })
  inferenceSeconds!: number | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When our copy was complete.' })
  storedAt!: Date | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'When it was taken away: its links answer 410, and it can no longer be edited.',
  })
  deletedAt!: Date | null;
}

export const ImageFormatEnum = Object.fromEntries(
  ['ORIGINAL', ...IMAGE_FORMATS.map((format) => format.toUpperCase())].map((name) => [name, name]),
);
registerEnumType(ImageFormatEnum, {
  name: 'ImageFormat',
  description: 'What a picture is served as.',
  valuesConfig: { ORIGINAL: { description: 'As it came; with a width, in its own format.' } },
});
