import {
  type FragmentDefinitionNode,
  type GraphQLResolveInfo,
  Kind,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import { createParameterDecorator } from 'type-graphql';
import { type Image } from '../../core/images/image.js';
import { type Task } from '../../core/tasks/task.js';
import { selectionOf, type TaskSelection } from '../../services/tasks/task-reads.js';
import { type Context } from '../server/context.js';

/**
 * What the resolver of a field reads of its object. Any other field reads the property of its name, or whole rows are read for it.
 */
type Reads<Source> = Readonly<Record<string, readonly (keyof Source)[]>>;

const READS_OF_TASK: Reads<Task> = {
  __typename: [],
  images: ['id'],
  lateImages: ['id'],
  events: ['id', 'workspaceId'],
  webhookDeliveries: ['id', 'workspaceId'],
  sourceImage: ['sourceImageId'],
  retryOf: ['retryOfId'],
  queuePosition: ['id', 'status'],
  error: ['failure'],
  cost: ['estimatedCost', 'finalCost', 'currency'],
  eventCursor: ['eventLogPosition'],
};
const READS_OF_IMAGE: Reads<Image> = {
  __typename: [],
  url: ['id'],
  upstreamUrlExpiresAt: ['upstreamUrl'],
  edits: ['id'],
  task: ['taskId'],
  parent: ['parentId'],
};

/** Where the tasks are below a field. */
type TaskPath = readonly (readonly string[])[];
/** The field is a task itself. */
export const TASK: TaskPath = [[]];
/** The field is a connection. */
export const NODES: TaskPath = [['nodes'], ['edges', 'node']];

/** Parameter of a resolver: who reads, and what the operation needs of the tasks at these paths. */
export type TaskRead = Pick<Context, 'caller' | 'selectedTasks'> & { selection: TaskSelection };
export function ReadTasks(paths: TaskPath) {
  return createParameterDecorator<Context>(({ context: { caller, selectedTasks }, info }): TaskRead => ({
    caller,
    selectedTasks,
    selection: taskSelection(info, paths),
  }));
}

/** Of fields without others of the same name beside them, which is nearly all. */
const known = new WeakMap<object, TaskSelection>();

/**
 * What the operation needs of the tasks below a field, whatever its variables leave out. Images of images, and tasks of images, are
 * read by the loaders of the context.
 */
function taskSelection({ fieldNodes, fragments }: GraphQLResolveInfo, paths: TaskPath): TaskSelection {
  const [fieldNode] = fieldNodes;
  const isOnly = fieldNode && fieldNodes.length === 1;
  const before = isOnly && known.get(fieldNode);
  if (before) return before;
  const sets = fieldNodes.flatMap(({ selectionSet }) => selectionSet ?? []);
  const tasks = paths.flatMap((path) =>
    path.reduce((parents, name) => selectedIn(parents, fragments).get(name) ?? [], sets),
  );
  const fields = selectedIn(tasks, fragments);
  const images = [...(fields.get('images') ?? []), ...(fields.get('lateImages') ?? [])];
  const selection = selectionOf(
    propertiesOf(fields, READS_OF_TASK),
    images.length > 0 ? propertiesOf(selectedIn(images, fragments), READS_OF_IMAGE) : null,
  );
  if (isOnly) known.set(fieldNode, selection);
  return selection;
}

function propertiesOf(
  fields: ReadonlyMap<string, unknown>,
  reads: Readonly<Record<string, readonly string[]>>,
): string[] {
  return [...fields.keys()].flatMap((name) => reads[name] ?? [name]);
}

type Fragments = Readonly<Record<string, FragmentDefinitionNode>>;

/** The fields in these selection sets, with the selection sets of each. */
function selectedIn(
  sets: readonly SelectionSetNode[],
  fragments: Fragments,
): ReadonlyMap<string, SelectionSetNode[]> {
  const found = new Map<string, SelectionSetNode[]>();
  const seenFragments = new Set<string>();
  const visit = (selection: SelectionNode): void => {
    if (selection.kind === Kind.FIELD) {
      const { name, selectionSet } = selection;
      const below = found.get(name.value) ?? [];
      if (selectionSet) below.push(selectionSet);
      found.set(name.value, below);
    } else if (selection.kind === Kind.INLINE_FRAGMENT) selection.selectionSet.selections.forEach(visit);
    else if (!seenFragments.has(selection.name.value)) {
      seenFragments.add(selection.name.value);
      fragments[selection.name.value]?.selectionSet.selections.forEach(visit);
    }
  };
  for (const { selections } of sets) selections.forEach(visit);
  return found;
}
