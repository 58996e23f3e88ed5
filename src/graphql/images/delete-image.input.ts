import { Field, ID, InputType, ObjectType } from 'type-graphql';
import { type Image } from '../../core/images/image.js';
import { ImageType } from './image.type.js';
import { UserErrorType } from '../relay/user-error.type.js';

@InputType('DeleteImageInput', { description: 'Which image to take away.' })
export class DeleteImageInput {
  @Field(() => ID, { description: 'The id of the image.' })
  id!: string;
}

@ObjectType('DeleteImagePayload', { description: 'The answer to deleteImage.', simpleResolvers: true })
export class DeleteImagePayload {
  @Field(() => ImageType, {
    nullable: true,
    description: 'What is left of it: its facts, without its bytes; null when there are userErrors.',
  })
  image!: Image | null;

  @Field(() => [UserErrorType], { description: 'Everything that is wrong with the input; empty on success.' })
  userErrors!: readonly UserErrorType[];
}
