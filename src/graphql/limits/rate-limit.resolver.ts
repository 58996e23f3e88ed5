import { Authorized, Ctx, Query, Resolver } from 'type-graphql';
import { type Context } from '../server/context.js';
import { RateLimitType } from './rate-limit.type.js';

@Resolver(() => RateLimitType)
export class RateLimitResolver {
  @Authorized()
  @Query(() => RateLimitType, {
    nullable: true,
    description: 'How many requests the caller may still make. Null: as many as it likes. Needs no scope.',
  })
  rateLimit(@Ctx() { rate }: Context): RateLimitType | null {
    return rate;
  }
}
