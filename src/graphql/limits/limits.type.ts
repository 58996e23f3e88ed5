import { Field, InputType, Int, ObjectType } from 'type-graphql';
import { type Limits } from '../../core/limits/limits.js';

@ObjectType('Limits', {
  description:
    'Usage limits of an API key. A field is null if the key has no limit of its own. The limits that the operator has set then apply.',
})
@InputType('LimitsInput', {
  description:
    'Usage limits of an API key or client token, each from 1 to 1000000. An omitted field sets no limit of its own.',
})
export class LimitsType implements Limits {
  @Field(() => Int, {
    nullable: true,
    description:
      'Maximum number of requests per minute. Each GraphQL operation counts as a request, and so does each request to the Flux API, an event stream or `/usage.csv`.',
  })
  requestsPerMinute?: number | null;

  @Field(() => Int, { nullable: true, description: 'Maximum number of new tasks per minute.' })
  generationsPerMinute?: number | null;

  @Field(() => Int, {
    nullable: true,
    description:
      'Maximum number of tasks in flight at the same time. A task is in flight from its creation until it is final.',
  })
  generationsInFlight?: number | null;

  @Field(() => Int, {
    nullable: true,
    description:
      'Maximum number of connections open at the same time: WebSockets, event streams, and held requests to the Flux API, which are kept open until the result.',
  })
  connections?: number | null;
}
