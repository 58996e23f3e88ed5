import { Arg, Args, Authorized, Ctx, FieldResolver, Mutation, Query, Resolver, Root } from 'type-graphql';
import { type Callback } from '../../core/callbacks/callback.js';
import { type Task } from '../../core/tasks/task.js';
import { CallbackInbox } from '../../services/callbacks/callback-inbox.js';
import { toConnection } from '../relay/connection.type.js';
import { PageArgs } from '../relay/page-args.js';
import { withUserErrors } from '../relay/payload.type.js';
import { type Context } from '../server/context.js';
import { TaskType } from '../tasks/task.type.js';
import {
  CallbackConnection,
  CallbackFilterInput,
  CallbackType,
  ReplayCallbackInput,
  ReplayCallbackPayload,
} from './callback.type.js';

@Resolver(() => CallbackType)
export class CallbackResolver {
  constructor(private readonly callbackInbox: CallbackInbox) {}

  @Authorized('audit:read')
  @Query(() => CallbackConnection, {
    description:
      'Stored upstream callbacks for tasks of the workspace, newest first. Requires the scope `audit:read`.',
  })
  async callbacks(
    @Ctx() { caller }: Context,
    @Args() { first, after }: PageArgs,
    @Arg('filter', () => CallbackFilterInput, {
      nullable: true,
      description: 'Conditions. Omitted: all callbacks.',
    })
    filter: CallbackFilterInput | null,
  ) {
    return toConnection(await this.callbackInbox.page(caller, filter ?? {}, { first, after }));
  }

  @Authorized('audit:read', 'tasks:write')
  @Mutation(() => ReplayCallbackPayload, {
    description:
      'Processes a stored callback again, as if it had just been received. Nothing changes if the result was already applied. Requires the scopes `audit:read` and `tasks:write`.',
  })
  replayCallback(
    @Ctx() { caller }: Context,
    @Arg('input', () => ReplayCallbackInput, { description: 'The callback to replay.' })
    { id }: ReplayCallbackInput,
  ) {
    return withUserErrors(async () => ({
      callback: await this.callbackInbox.replay(caller, id),
    }));
  }

  @FieldResolver(() => TaskType, {
    nullable: true,
    description: 'Task whose callback URL received the POST. Null if it does not exist.',
  })
  task(@Root() callback: Callback, @Ctx() { tasks }: Context): Promise<Task | null> {
    return tasks.load(callback.taskId);
  }

  @FieldResolver(() => String, {
    description:
      'Body of the POST as text, unchanged. Bytes that are not valid UTF-8 become replacement characters (U+FFFD).',
  })
  body(@Root() callback: Callback): string {
    return Buffer.from(callback.body).toString('utf8');
  }
}
