import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, Int, ObjectType } from 'type-graphql';

@ObjectType('Delivery', {
  description: "One attempt to post a task's result to its callbackUrl.",
  simpleResolvers: true,
})
export class DeliveryType {
  @Field(() => ID, { description: 'A UUIDv7.' })
  id!: string;

  @Field(() => ID, {
    description: 'The header webhook-id: the same in every attempt to deliver the same result.',
  })
  webhookId!: string;

  @Field(() => Int, { description: 'From 1.' })
  attempt!: number;

  @Field(() => GraphQLDateTime, { description: 'When it was made.' })
  at!: Date;

  @Field(() => Int, {
    nullable: true,
    description: 'The HTTP status that was answered; 200 to 299 means delivered. Null when nobody answered.',
  })
  statusCode!: number | null;

  @Field(() => String, { nullable: true, description: 'Why it was not delivered. Null when it was.' })
  failure!: string | null;

  @Field(() => Int, {
    description: 'Milliseconds until the answer, or until it was given up; at most about 15,000.',
  })
  latencyMs!: number;

  @Field(() => String, { nullable: true, description: 'The first 1,024 bytes of the answer, as text.' })
  answer!: string | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description:
      'When the next attempt is due. Null when this one delivered, was the last, or was overtaken by another.',
  })
  nextAttemptAt!: Date | null;
}
