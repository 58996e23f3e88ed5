import { Field, InputType, Int, ObjectType } from 'type-graphql';
import { type Limits } from '../../core/limits/limits.js';

@ObjectType('Limits', {
  description: 'What a key or a token may do in a time or at once. Null: no limit of its own.',
})
@InputType('LimitsInput', {
  description:
    'What a key or a token may do in a time or at once: 1 to 1000000 each. Absent: no limit of its own.',
})
export class LimitsType implements Limits {
  @Field(() => Int, { nullable: true, description: 'Requests in a minute.' })
  requestsPerMinute?: number | null;

  @Field(() => Int, { nullable: true, description: 'Tasks asked for in a minute.' })
  generationsPerMinute?: number | null;

  @Field(() => Int, { nullable: true, description: 'Tasks that have not ended, at the same time.' })
  generationsInFlight?: number | null;

  @Field(() => Int, { nullable: true, description: 'WebSockets and event streams at the same time.' })
  connections?: number | null;
}
