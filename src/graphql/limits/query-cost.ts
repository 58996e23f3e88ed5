import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  getNamedType,
  getNullableType,
  type GraphQLField,
  type GraphQLSchema,
  isCompositeType,
  isListType,
  isInterfaceType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  SchemaMetaFieldDef,
  type SelectionNode,
  type SelectionSetNode,
  TypeMetaFieldDef,
  TypeNameMetaFieldDef,
} from 'graphql';
import { MAX_PAGE_SIZE } from '../../services/pagination/read-page.js';

/** Mutations that make the upstream charge money, and their cost. */
const PAID_MUTATIONS: ReadonlySet<string> = new Set(['generateImages', 'editImage', 'retryTask']);
const PAID_MUTATION_COST = 1_000;
/** Assumed length of a list without pages. A task has at most this many images. */
const ASSUMED_LIST_SIZE = 4;

/** Introspection fields, which no type lists among its own. */
const META_FIELDS: ReadonlyMap<string, GraphQLField<unknown, unknown>> = new Map(
  [SchemaMetaFieldDef, TypeMetaFieldDef, TypeNameMetaFieldDef].map((field) => [field.name, field]),
);

/** Cost points of an operation. A field costs 1, times the size of every page and list around it. A paid mutation costs 1,000. */
export type CostFunction = (variables: Readonly<Record<string, unknown>>) => number;

/**
 * Calculates the cost of a valid operation. checkDocumentLimits must have counted its fields, which bounds the work of
 * expanding its fragments. The document is walked once, for all requests.
 */
export function costOfOperation(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
): CostFunction {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const fragmentCosts = new Map<string, CostFunction>();
  const variableDefaults = variableDefaultsOf(operation);

  const costOfField = (node: FieldNode, typeName: string): CostFunction => {
    const field = findField(schema, typeName, node.name.value);
    if (!field) return () => 1;
    const isPaid = typeName === 'Mutation' && PAID_MUTATIONS.has(field.name);
    const ownCost = isPaid ? PAID_MUTATION_COST : 1;
    const type = getNamedType(field.type);
    if (!node.selectionSet || !isCompositeType(type)) return () => ownCost;
    const innerCost = costOfSelectionSet(node.selectionSet, type.name);
    const isPlainList = isListType(getNullableType(field.type)) && !/Connection$|^__/.test(typeName);
    const listSize = isPlainList ? ASSUMED_LIST_SIZE : 1;
    const size = pageSizeOf(field, node, variableDefaults) ?? (() => listSize);
    return (variables) => ownCost + size(variables) * innerCost(variables);
  };
  // Shared by all spreads, so that the functions of a document take memory in proportion to its text.
  const costOfFragment = (name: string): CostFunction => {
    const fragment = fragments.get(name);
    if (!fragment) return () => 0;
    const cost =
      fragmentCosts.get(name) ??
      oncePerRequest(costOfSelectionSet(fragment.selectionSet, fragment.typeCondition.name.value));
    fragmentCosts.set(name, cost);
    return cost;
  };
  const costOfSelection = (selection: SelectionNode, typeName: string): CostFunction => {
    if (selection.kind === Kind.FIELD) return costOfField(selection, typeName);
    if (selection.kind === Kind.FRAGMENT_SPREAD) return costOfFragment(selection.name.value);
    return costOfSelectionSet(selection.selectionSet, selection.typeCondition?.name.value ?? typeName);
  };
  const costOfSelectionSet = ({ selections }: SelectionSetNode, typeName: string): CostFunction => {
    const costs = selections.map((selection) => costOfSelection(selection, typeName));
    return (variables) => costs.reduce((total, costOf) => total + costOf(variables), 0);
  };

  return costOfSelectionSet(operation.selectionSet, schema.getRootType(operation.operation)?.name ?? '');
}

/** Calculates a cost once for each object of variables. A fragment that doubles another one would double the work. */
function oncePerRequest(costOf: CostFunction): CostFunction {
  const known = new WeakMap<object, number>();
  return (variables) => {
    const cost = known.get(variables) ?? costOf(variables);
    known.set(variables, cost);
    return cost;
  };
}

/** Requested page size of a connection. Null for a field without pages. */
function pageSizeOf(
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
  defaults: ReadonlyMap<string, unknown>,
): CostFunction | null {
  const firstArgument = field.args.find(({ name }) => name === 'first');
  if (!firstArgument) return null;
  const value = node.arguments?.find(({ name }) => name.value === 'first')?.value;
  if (value?.kind === Kind.VARIABLE) {
    const name = value.name.value;
    return (variables) => clampPageSize(variables[name] ?? defaults.get(name) ?? firstArgument.defaultValue);
  }
  const size = clampPageSize(value?.kind === Kind.INT ? Number(value.value) : firstArgument.defaultValue);
  return () => size;
}

function clampPageSize(size: unknown): number {
  return typeof size === 'number' ? Math.min(Math.max(size, 1), MAX_PAGE_SIZE) : MAX_PAGE_SIZE;
}

function variableDefaultsOf({ variableDefinitions }: OperationDefinitionNode): ReadonlyMap<string, unknown> {
  return new Map(
    (variableDefinitions ?? []).flatMap(({ variable, defaultValue }) =>
      defaultValue?.kind === Kind.INT ? [[variable.name.value, Number(defaultValue.value)]] : [],
    ),
  );
}

function findField(
  schema: GraphQLSchema,
  typeName: string,
  name: string,
): GraphQLField<unknown, unknown> | undefined {
  const meta = META_FIELDS.get(name);
  if (meta) return meta;
  const type = schema.getType(typeName);
  return isObjectType(type) || isInterfaceType(type) ? type.getFields()[name] : undefined;
}
