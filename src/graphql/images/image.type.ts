import { GraphQLDateTime, GraphQLURL } from 'graphql-scalars';
import { Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { IMAGE_FORMATS } from '../../core/images/image.js';
import { createConnectionType } from '../relay/connection.type.js';

@ObjectType('Image', {
  description:
    'A finished image: generated, edited or uploaded. Its width, height, type, size, hash and placeholder are null until Darkroom has stored its copy, usually a moment after the task succeeded. The event IMAGE_STORED reports that the copy is stored. After the event IMAGE_LOST, these fields stay null.',
  simpleResolvers: true,
})
export class ImageType {
  @Field(() => ID, { description: 'ID of the image, a UUIDv7.' })
  id!: string;

  @Field(() => Int, { description: "0-based position in the upstream's result. 0 for an upload." })
  index!: number;

  @Field(() => GraphQLURL, {
    nullable: true,
    description:
      'URL of the image at the upstream, for reference. It expires, so use `url` instead. Null for an upload.',
  })
  upstreamUrl!: string | null;

  @Field(() => Int, { nullable: true, description: 'Width in pixels, after EXIF orientation.' })
  width!: number | null;

  @Field(() => Int, { nullable: true, description: 'Height in pixels, after EXIF orientation.' })
  height!: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'MIME type such as "image/png", determined by decoding the bytes.',
  })
  mimeType!: string | null;

  @Field(() => Int, { nullable: true, description: 'Size of the stored original in bytes.' })
  byteSize!: number | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Seed reported by the upstream. The same seed and prompt reproduce the image. Null if the upstream reported none.',
  })
  seed!: string | null;

  @Field(() => Float, {
    nullable: true,
    description:
      'Inference time in seconds, as reported by the upstream. Null if the upstream reported none.',
  })
  inferenceSeconds!: number | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'Time when Darkroom had stored its copy of the image. Null until then.',
  })
  storedAt!: Date | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description:
      'Time when the image was deleted. Its URLs then return 410, and it can no longer be edited. Null if it was not deleted.',
  })
  deletedAt!: Date | null;
}

export const ImageConnection = createConnectionType('Image', ImageType, 'images, oldest first');

export const ImageFormatEnum = Object.fromEntries(
  ['ORIGINAL', ...IMAGE_FORMATS.map((format) => format.toUpperCase())].map((name) => [name, name]),
);
registerEnumType(ImageFormatEnum, {
  name: 'ImageFormat',
  description: 'Format in which an image is served.',
  valuesConfig: {
    ORIGINAL: {
      description:
        'The format of the stored image. Without a `width`, the stored bytes are served unchanged. A GIF that is resized is served as PNG.',
    },
    PNG: { description: 'PNG.' },
    JPEG: { description: 'JPEG. Transparent areas become white.' },
    WEBP: { description: 'WebP.' },
    AVIF: { description: 'AVIF.' },
  },
});
