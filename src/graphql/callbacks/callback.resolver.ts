import { Arg, Authorized, Ctx, FieldResolver, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { type Callback } from '../../core/callbacks/callback.js';
import { type Task } from '../../core/tasks/task.js';
import { CallbackInbox } from '../../services/callbacks/callback-inbox.js';
import { CallbackFilterInput } from './callback-filter.input.js';
import { CallbackType } from './callback.type.js';
import { CallbackConnection, toConnection } from '../relay/connection.type.js';
import { type Context } from '../server/context.js';
import { ReplayCallbackInput, ReplayCallbackPayload } from './replay-callback.input.js';
import { TaskType } from '../tasks/task.type.js';
import { withUserErrors } from '../relay/user-error.type.js';

@Resolver(() => CallbackType)
export class CallbackResolver {
  constructor(private readonly inbox: CallbackInbox) {}

  @Authorized('audit:read')
  @Query(() => CallbackConnection, {
    description: 'What the upstream sent us, newest first, with what we made of it. Scope audit:read.',
  })
  async callbacks(
    @Ctx() { caller }: Context,
    @Arg('first', () => Int, { defaultValue: 20, description: 'How many, 1 to 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'endCursor of the page before.' })
    after: string | null,
    @Arg('filter', () => CallbackFilterInput, { nullable: true, description: 'Which ones; absent: all.' })
    filter: CallbackFilterInput | null,
  ) {
    return toConnection(await this.inbox.page(caller, filter ?? {}, first, after ?? null));
  }

  @Authorized('audit:read', 'tasks:write')
  @Mutation(() => ReplayCallbackPayload, {
    description: 'Takes a kept callback as if it came now. Does nothing when its result is in already.',
  })
  replayCallback(
    @Ctx() { caller }: Context,
    @Arg('input', () => ReplayCallbackInput, { description: 'Which callback.' }) { id }: ReplayCallbackInput,
  ) {
    return withUserErrors({ callback: null }, async () => ({
      callback: await this.inbox.replay(caller, id),
    }));
  }

  @FieldResolver(() => TaskType, { nullable: true, description: 'The task whose link it was posted to.' })
  task(@Root() callback: Callback, @Ctx() { tasks }: Context): Promise<Task | null> {
    return tasks.load(callback.taskId);
  }

  @FieldResolver(() => String, {
    description: 'As it came; what is not UTF-8 is shown as replacement characters.',
  })
  body(@Root() callback: Callback): string {
    return Buffer.from(callback.body).toString('utf8');
  }
}
