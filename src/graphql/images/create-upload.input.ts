import { GraphQLDateTime, GraphQLURL } from 'graphql-scalars';
import { Field, ID, InputType, Int, ObjectType } from 'type-graphql';
import { UserErrorType } from '../relay/user-error.type.js';

@InputType('CreateUploadInput', { description: 'A picture that is about to be sent.' })
export class CreateUploadInput {
  @Field(() => String, {
    nullable: true,
    description:
      'What its owner calls it, up to 255 characters; it is offered again when the picture is saved.',
  })
  fileName?: string | null;
}

@ObjectType('Upload', {
  description:
    'A link that takes one picture, once: PUT the bytes to it, or POST a form with one file. No key is needed. The answer is `{"image": {"id", "url", "width", "height", "mimeType", "byteSize"}}`.',
  simpleResolvers: true,
})
class UploadType {
  @Field(() => ID, { description: 'The id that the image has once the picture was sent: for editImage.' })
  imageId!: string;

  @Field(() => GraphQLURL, { description: 'Where to send it. Whoever has the link can use it.' })
  url!: string;

  @Field(() => Int, { description: 'Bytes that are taken at most.' })
  maxBytes!: number;

  @Field(() => GraphQLDateTime, { description: 'Until when it can be used; 15 minutes.' })
  expiresAt!: Date;
}

@ObjectType('CreateUploadPayload', { description: 'The answer to createUpload.', simpleResolvers: true })
export class CreateUploadPayload {
  @Field(() => UploadType, { nullable: true, description: 'The link; null when there are userErrors.' })
  upload!: UploadType | null;

  @Field(() => [UserErrorType], { description: 'Everything that is wrong with the input; empty on success.' })
  userErrors!: readonly UserErrorType[];
}
