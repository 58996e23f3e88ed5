import { Field, InputType, Int, ObjectType } from 'type-graphql';
import { type Limits } from '../../core/limits/limits.js';

@ObjectType('Limits', {
  description: 'Usage limits of an API key. Null means no limit of its own.',
})
@InputType('LimitsInput', {
  description:
    'Usage limits of an API key or client token, each from 1 to 1000000. Omitted: no limit of its own.',
})
export class LimitsType implements Limits {
  @Field(() => Int, { nullable: true, description: 'Requests per minute.' })
  requestsPerMinute?: number | null;

  @Field(() => Int, { nullable: true, description: 'New tasks per minute.' })
  generationsPerMinute?: number | null;

  @Field(() => Int, { nullable: true, description: 'Tasks in flight: created and not final yet.' })
  generationsInFlight?: number | null;

  @Field(() => Int, { nullable: true, description: 'Open connections: WebSockets and event streams.' })
  connections?: number | null;
}
