import { GraphQLDateTime } from 'graphql-scalars';
import { Authorized, Ctx, Field, Int, ObjectType, Query, Resolver } from 'type-graphql';
import { type Context } from '../server/context.js';

@ObjectType('RateLimit', {
  description:
    'State of the request limit with the fewest requests left, among those of the API key, client token, end user and workspace. All instances share the limit, so `remaining` is accurate to a few percent.',
  simpleResolvers: true,
})
class RateLimitType {
  @Field(() => Int, { description: 'Requests allowed per minute.' })
  limit!: number;

  @Field(() => Int, {
    description:
      'Number of requests that this HTTP request or WebSocket operation counted as. Each operation counts as one.',
  })
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
