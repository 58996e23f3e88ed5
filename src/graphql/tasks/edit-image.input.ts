import { GraphQLJSON } from 'graphql-scalars';
import { Field, ID, InputType, Int, ObjectType } from 'type-graphql';
import { type Task, type TaskPriority } from '../../core/tasks/task.js';
import { TaskPriorityEnum, TaskType } from './task.type.js';
import { UserErrorType } from '../relay/user-error.type.js';

@InputType('EditImageInput', { description: 'A wish for a picture to be changed.' })
export class EditImageInput {
  @Field(() => String, { description: 'How to change it; 1 to 4,000 characters.' })
  prompt!: string;

  @Field(() => ID, {
    nullable: true,
    description: 'One of our images. Exactly one of the two sources is given.',
  })
  sourceImageId?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'A direct http or https link to a picture. Exactly one of the two sources is given.',
  })
  sourceImageUrl?: string | null;

  @Field(() => String, { nullable: true, description: 'See `models`; default flux-kontext-pro.' })
  model?: string | null;

  @Field(() => String, { nullable: true, description: "A ratio; default: the source's own." })
  size?: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Where the result is posted to when it is there: a public http or https address. See docs/PROTOCOL.md, "Callbacks out".',
  })
  callbackUrl?: string | null;

  @Field(() => TaskPriorityEnum, {
    nullable: true,
    defaultValue: 'NORMAL',
    description:
      'Which of the queued tasks of the same end user goes first. It does not come before others by it.',
  })
  priority?: TaskPriority | null;

  @Field(() => GraphQLJSON, {
    nullable: true,
    description: "The caller's own JSON, up to 4 KB, returned untouched.",
  })
  metadata?: unknown;

  @Field(() => String, {
    nullable: true,
    description:
      'For whom of its own users the workspace asks, by whatever name it has for them; 1 to 255 characters. A token of an end user leaves it out.',
  })
  endUserId?: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Same key and same input: the same task. Same key, other input: IDEMPOTENCY_CONFLICT. 1 to 255 characters.',
  })
  idempotencyKey?: string | null;

  @Field(() => Int, {
    nullable: true,
    description: 'Seconds until we give up on it; 10 to 3600, default 600.',
  })
  timeoutSeconds?: number | null;
}

@ObjectType('EditImagePayload', { description: 'The answer to editImage.', simpleResolvers: true })
export class EditImagePayload {
  @Field(() => TaskType, { nullable: true, description: 'The task; null when there are userErrors.' })
  task!: Task | null;

  @Field(() => Boolean, {
    description: 'True when an earlier request with this idempotencyKey made the task.',
  })
  replayed!: boolean;

  @Field(() => [UserErrorType], { description: 'Everything that is wrong with the input; empty on success.' })
  userErrors!: readonly UserErrorType[];
}
