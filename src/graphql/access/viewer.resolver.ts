import { Authorized, Ctx, Query, Resolver } from 'type-graphql';
import { type Caller } from '../../core/access/caller.js';
import { type Context } from '../server/context.js';
import { ViewerType } from './viewer.type.js';

@Resolver(() => ViewerType)
export class ViewerResolver {
  @Authorized()
  @Query(() => ViewerType, { description: "The caller's own workspace, key and scopes. Needs no scope." })
  viewer(@Ctx() { caller }: Context): Caller {
    return caller;
  }
}
