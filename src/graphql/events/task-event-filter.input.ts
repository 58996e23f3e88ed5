import { Field, ID, InputType } from 'type-graphql';
import { type EventType } from '../../core/events/task-event.js';
import { TaskEventTypeEnum } from './task-event.type.js';

@InputType('TaskEventFilter', {
  description: 'Which events to show. Every condition that is given must hold.',
})
export class TaskEventFilterInput {
  @Field(() => [ID], {
    nullable: true,
    description: 'Events of these tasks, at most 100 in a subscription; empty or absent: of all.',
  })
  taskIds?: string[] | null;

  @Field(() => [TaskEventTypeEnum], { nullable: true, description: 'Any of these; empty or absent: all.' })
  types?: EventType[] | null;
}
