import { Field, ID, ObjectType } from 'type-graphql';
import { type Scope } from '../core/caller.js';

@ObjectType('Viewer', { description: 'Who is asking.', simpleResolvers: true })
export class ViewerType {
  @Field(() => ID, { description: 'The workspace that owns everything this key sees and makes.' })
  workspaceId!: string;

  @Field(() => String, { description: "The workspace's name." })
  workspaceName!: string;

  @Field(() => ID, { description: 'The id of the key.' })
  keyId!: string;

  @Field(() => String, { description: "The key's name: the `actor` of what it causes." })
  keyName!: string;

  @Field(() => String, { description: "The key's first characters, by which a person recognises it." })
  keyPrefix!: string;

  @Field(() => [String], { description: 'What the key may do, such as "tasks:write".' })
  scopes!: readonly Scope[];
}
