import { GraphQLDateTime } from 'graphql-scalars';
import { Authorized, Ctx, Field, Int, ObjectType, Query, Resolver } from 'type-graphql';
import { type Context } from '../server/context.js';

@ObjectType('RateLimit', {
  description:
    'State of the request limit that is closest to being used up: that of the API key, the end user or the workspace. Several instances count together, so `remaining` can be a few percent too high.',
  simpleResolvers: true,
})
class RateLimitType {
  @Field(() => Int, { description: 'Requests allowed per minute.' })
  limit!: number;

  @Field(() => Int, { description: 'Requests that this HTTP request counted as: one per operation in it.' })
  cost!: number;

  @Field(() => Int, { description: 'Requests left until `resetAt`.' })
  remaining!: number;

  @Field(() => GraphQLDateTime, { description: 'Time when the full limit is available again.' })
  resetAt!: Date;
}

@Resolver(() => RateLimitType)
export class RateLimitResolver {
  @Authorized()
  @Query(() => RateLimitType, {
    nullable: true,
    description: "State of the caller's request limit. Null if it has none. Requires no scope.",
  })
  rateLimit(@Ctx() { rateLimit }: Context): RateLimitType | null {
    return rateLimit;
  }
}
