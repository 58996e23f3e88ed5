import { GraphQLDateTime } from 'graphql-scalars';
import { Args, Authorized, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from 'type-graphql';
import { type Callback, type CallbackVerdict } from '../../core/callbacks/callback.js';
import { type Task } from '../../core/tasks/task.js';
import { type CallbackFilter, CallbackInbox } from '../../services/callbacks/callback-inbox.js';
import { createConnectionType, toConnection } from '../relay/connection.type.js';
import { PageArgs } from '../relay/page-args.js';
import { createPayloadType, onSuccess, withUserErrors } from '../relay/payload.type.js';
import { Filter, Input } from '../server/argument-decorators.js';
import { type Context } from '../server/context.js';
import {
  createEnumType,
  createInputType,
  createObjectType,
  field,
  nullable,
} from '../server/schema-types.js';
import { TaskType } from '../tasks/task.type.js';

const CallbackVerdictEnum = createEnumType<CallbackVerdict>(
  'CallbackVerdict',
  'Effect of an upstream callback.',
  {
    APPLIED: 'The callback completed the task.',
    DUPLICATE: 'The task had this result already. Nothing changed.',
    EARLY: "The callback completed the task before the upstream's response to the submission was processed.",
    LATE: 'The task was already final, without images or with an incomplete result. The images that it lacked are kept as late images.',
    UNKNOWN_TASK: 'No task has the ID in the callback URL. Nothing changed.',
    CONFLICT:
      'The callback reports a failure, but the task has already succeeded, or the failure is that of an earlier attempt. Nothing changed.',
    MALFORMED: 'The body is not JSON, or reports neither an image nor a failure. The task continues.',
  },
);

const CallbackType = createObjectType<Callback>(
  'Callback',
  'A POST from the upstream to the callback URL of a task, and its effect. It is deleted after the retention period that the operator has set, by default 30 days.',
  {
    id: field(ID, 'ID of the callback, a UUIDv7.'),
    receivedAt: field(GraphQLDateTime, 'Time when the callback was received.'),
    verdict: field(CallbackVerdictEnum, 'Effect of the callback.'),
  },
);

const CallbackConnection = createConnectionType('Callback', CallbackType, 'callbacks, newest first');

const CallbackFilterInput = createInputType<CallbackFilter>(
  'CallbackFilter',
  'Conditions on callbacks. A callback must meet all of them.',
  {
    verdicts: nullable([CallbackVerdictEnum], 'Callbacks with one of these verdicts. Empty or omitted: any.'),
    taskId: nullable(ID, 'Callbacks for the task with this ID. Omitted: any.'),
  },
);

const ReplayCallbackInput = createInputType<{ id: string }>(
  'ReplayCallbackInput',
  'Input for replaying a callback.',
  { id: field(ID, 'ID of the callback.') },
);

const ReplayCallbackPayload = createPayloadType('replayCallback', {
  callback: onSuccess(CallbackType, 'The callback with its new verdict.'),
});

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
    @Args() page: PageArgs,
    @Filter(CallbackFilterInput, 'all callbacks') filter: CallbackFilter | null,
  ) {
    return toConnection(await this.callbackInbox.page(caller, filter ?? {}, page));
  }

  @Authorized('audit:read', 'tasks:write')
  @Mutation(() => ReplayCallbackPayload, {
    description:
      'Processes a stored callback again, as if it had just been received. Nothing changes if the result was already applied. Requires the scopes `audit:read` and `tasks:write`.',
  })
  replayCallback(
    @Ctx() { caller }: Context,
    @Input(ReplayCallbackInput, 'The callback to replay.') { id }: InstanceType<typeof ReplayCallbackInput>,
  ) {
    return withUserErrors(async () => ({ callback: await this.callbackInbox.replay(caller, id) }));
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
