import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, ObjectType } from 'type-graphql';

@ObjectType('Workspace', {
  description: 'Who owns tasks. Nothing of one can be seen from another.',
  simpleResolvers: true,
})
export class WorkspaceType {
  @Field(() => ID, { description: 'The id of the workspace.' })
  id!: string;

  @Field(() => String, { description: 'What people call it; several may be called the same.' })
  name!: string;

  @Field(() => GraphQLDateTime, { description: 'When it was made.' })
  createdAt!: Date;
}
