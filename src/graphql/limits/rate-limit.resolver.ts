import { GraphQLDateTime } from 'graphql-scalars';
import { Authorized, Ctx, Int, Query, Resolver } from 'type-graphql';
import { type RateLimitStatus } from '../../services/limits/rate-limits.js';
import { type Context } from '../server/context.js';
import { createObjectType, field } from '../server/schema-types.js';

const RateLimitType = createObjectType<RateLimitStatus>(
  'RateLimit',
  'State of the request limit with the fewest requests left, among those of the API key, client token, end user and workspace. All instances share the limit, so `remaining` is accurate to a few percent.',
  {
    limit: field(Int, 'Requests allowed per minute.'),
    cost: field(
      Int,
      'Number of requests that this HTTP request or WebSocket operation counted as. Each operation counts as one.',
    ),
    remaining: field(Int, 'Requests left until `resetAt`.'),
    resetAt: field(GraphQLDateTime, 'Time when the full limit is available again.'),
  },
);

@Resolver(() => RateLimitType)
export class RateLimitResolver {
  @Authorized()
  @Query(() => RateLimitType, {
    nullable: true,
    description: "State of the caller's request limit. Null if it has none. Requires no scope.",
  })
  rateLimit(@Ctx() { rateLimit }: Context): RateLimitStatus | null {
    return rateLimit;
  }
}
