import { GraphQLDateTime } from 'graphql-scalars';
import { Field, InputType } from 'type-graphql';
import { type TaskKind, type TaskStatus } from '../../core/tasks/task.js';
import { TaskKindEnum, TaskStatusEnum } from './task.type.js';

@InputType('TaskFilter', { description: 'Which tasks to show. Every condition that is given must hold.' })
export class TaskFilterInput {
  @Field(() => [TaskStatusEnum], { nullable: true, description: 'Any of these; empty or absent: all.' })
  statuses?: TaskStatus[] | null;

  @Field(() => [TaskKindEnum], { nullable: true, description: 'Any of these; empty or absent: all.' })
  kinds?: TaskKind[] | null;

  @Field(() => [String], { nullable: true, description: 'Any of these model names; empty or absent: all.' })
  models?: string[] | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'Requested at or after this moment.' })
  createdAfter?: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'Requested before this moment.' })
  createdBefore?: Date | null;

  @Field(() => String, {
    nullable: true,
    description: 'Words the prompt must hold; "quoted phrases", `or` and -not work as in a web search.',
  })
  search?: string | null;
}
