import { GraphQLDateTime, GraphQLURL } from 'graphql-scalars';
import { Field, ID, InputType, Int, ObjectType } from 'type-graphql';
import { createPayloadType } from '../relay/payload.type.js';
import { ImageType } from './image.type.js';

@InputType('CreateUploadInput', { description: 'Input for uploading an image.' })
export class CreateUploadInput {
  @Field(() => String, {
    nullable: true,
    description:
      'File name, up to 255 characters. The file name that browsers suggest for downloads is derived from it.',
  })
  fileName?: string | null;
}

@ObjectType('Upload', {
  description:
    'A signed link for uploading one image without an API key. Send the bytes with PUT, or one file as `multipart/form-data` with POST. Using the link again returns the same image. The response is `{"image": {"id", "url", "width", "height", "mimeType", "byteSize"}}`.',
  simpleResolvers: true,
})
class UploadType {
  @Field(() => ID, {
    description: 'ID that the image has once it is uploaded. Pass it as `sourceImageId` to `editImage`.',
  })
  imageId!: string;

  @Field(() => GraphQLURL, { description: 'URL to send the image to. Anyone who has it can use it.' })
  url!: string;

  @Field(() => Int, {
    description: 'Maximum size of the image in bytes, as the operator has set it. Default: 52428800 (50 MB).',
  })
  maxBytes!: number;

  @Field(() => GraphQLDateTime, { description: 'Time when the link expires, 15 minutes after its creation.' })
  expiresAt!: Date;
}

export const CreateUploadPayload = createPayloadType('createUpload', {
  upload: [UploadType, 'The upload link.'],
});

@InputType('DeleteImageInput', { description: 'Input for deleting an image.' })
export class DeleteImageInput {
  @Field(() => ID, { description: 'ID of the image.' })
  id!: string;
}

export const DeleteImagePayload = createPayloadType('deleteImage', {
  image: [ImageType, 'The deleted image. Its record remains.'],
});
