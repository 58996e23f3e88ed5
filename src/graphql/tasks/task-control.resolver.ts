import { Arg, Authorized, Ctx, Mutation, Resolver } from 'type-graphql';
import { TaskControl } from '../../services/tasks/task-control.js';
import { CancelTaskInput, CancelTaskPayload } from './cancel-task.input.js';
import { type Context } from '../server/context.js';
import { RetryTaskInput, RetryTaskPayload } from './retry-task.input.js';
import { withUserErrors } from '../relay/user-error.type.js';

@Resolver()
export class TaskControlResolver {
  constructor(private readonly control: TaskControl) {}

  @Authorized('tasks:write')
  @Mutation(() => CancelTaskPayload, {
    description: 'Takes a task back. What was not sent is never sent; what was sent cannot be stopped.',
  })
  cancelTask(
    @Ctx() { caller }: Context,
    @Arg('input', () => CancelTaskInput, { description: 'Which task.' }) { id }: CancelTaskInput,
  ) {
    return withUserErrors({ task: null, outcome: null }, () => this.control.cancel(caller, id));
  }

  @Authorized('tasks:write')
  @Mutation(() => RetryTaskPayload, {
    description:
      "A new task with an ended one's request, linked to it by retryOf. We never pay twice by ourselves: this is the caller's decision to.",
  })
  retryTask(
    @Ctx() { caller, idempotencyKey, traceId }: Context,
    @Arg('input', () => RetryTaskInput, { description: 'Which task.' }) input: RetryTaskInput,
  ) {
    const key = input.idempotencyKey ?? idempotencyKey;
    return withUserErrors({ task: null }, () => this.control.retry(caller, input.id, key, traceId));
  }
}
