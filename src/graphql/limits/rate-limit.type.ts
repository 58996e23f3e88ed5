import { GraphQLDateTime } from 'graphql-scalars';
import { Field, Int, ObjectType } from 'type-graphql';

@ObjectType('RateLimit', {
  description:
    'How the limit on requests stands that is nearest to its end: of the key, the end user or the workspace. Several instances count together; `remaining` can be some percent too high.',
  simpleResolvers: true,
})
export class RateLimitType {
  @Field(() => Int, { description: 'Requests that may be made in a minute.' })
  limit!: number;

  @Field(() => Int, { description: 'How many of them this request used up: one for each operation in it.' })
  cost!: number;

  @Field(() => Int, { description: 'How many may still be made until `resetAt`.' })
  remaining!: number;

  @Field(() => GraphQLDateTime, { description: 'When all of them may be made again.' })
  resetAt!: Date;
}
