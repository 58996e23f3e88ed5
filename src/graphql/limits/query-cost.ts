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
  type SelectionSetNode,
  TypeMetaFieldDef,
  TypeNameMetaFieldDef,
} from 'graphql';

/** What asks the upstream for pictures, and how many fields it counts as: money is spent. */
export const PAID_MUTATIONS: ReadonlySet<string> = new Set(['generateImages', 'editImage', 'retryTask']);
const PAID_COST = 1_000;
/** What a list without pages is taken to hold: a task has at most as many pictures. */
const LIST_SIZE = 4;
/** The largest page that there is; what asks for more is told so by its field. */
const MAX_PAGE = 100;

/** Introspection: no type lists them among its fields. */
const META_FIELDS: ReadonlyMap<string, GraphQLField<unknown, unknown>> = new Map(
  [SchemaMetaFieldDef, TypeMetaFieldDef, TypeNameMetaFieldDef].map((field) => [field.name, field]),
);

/** What an operation comes to: each field 1, times the pages and lists that it is in; a mutation that spends money 1,000. */
export type CostOf = (variables: Readonly<Record<string, unknown>>) => number;

/**
 * The cost of an operation that fits the schema and whose fields were counted (query-limits.ts), so that spreading its
 * fragments out is bounded. What does not depend on variables is added up here, once for all requests.
 */
export function costOfOperation(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
): CostOf {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const defaults = defaultsOf(operation);

  const costOfField = (node: FieldNode, typeName: string): Cost => {
    const field = fieldOf(schema, typeName, node.name.value);
    if (!field) return constant(1);
    const isPaid = typeName === 'Mutation' && PAID_MUTATIONS.has(field.name);
    const own = isPaid ? PAID_COST : 1;
    const type = getNamedType(field.type);
    if (!node.selectionSet || !isCompositeType(type)) return constant(own);
    const inner = costOfSet(node.selectionSet, type.name);
    const page = pageOf(field, node, defaults);
    if (typeof page === 'function') {
      return { fixed: own, varying: (variables) => page(variables) * totalOf(inner, variables) };
    }
    const isPlainList = isListType(getNullableType(field.type)) && !/Connection$|^__/.test(typeName);
    return times(page ?? (isPlainList ? LIST_SIZE : 1), inner, own);
  };
  const costOfSet = (set: SelectionSetNode, typeName: string): Cost => {
    const parts = set.selections.map((selection): Cost => {
      if (selection.kind === Kind.FIELD) return costOfField(selection, typeName);
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        return costOfSet(selection.selectionSet, selection.typeCondition?.name.value ?? typeName);
      }
      const fragment = fragments.get(selection.name.value);
      return fragment ? costOfSet(fragment.selectionSet, fragment.typeCondition.name.value) : constant(0);
    });
    return sum(parts);
  };

  const root = schema.getRootType(operation.operation)?.name ?? '';
  const cost = costOfSet(operation.selectionSet, root);
  return (variables) => totalOf(cost, variables);
}

interface Cost {
  fixed: number;
  varying: CostOf | null;
}

function constant(fixed: number): Cost {
  return { fixed, varying: null };
}

function totalOf({ fixed, varying }: Cost, variables: Readonly<Record<string, unknown>>): number {
  return varying ? fixed + varying(variables) : fixed;
}

function times(factor: number, { fixed, varying }: Cost, own: number): Cost {
  return {
    fixed: own + factor * fixed,
    varying: varying && ((variables) => factor * varying(variables)),
  };
}

function sum(parts: readonly Cost[]): Cost {
  const varying = parts.flatMap((part) => part.varying ?? []);
  return {
    fixed: parts.reduce((total, part) => total + part.fixed, 0),
    varying:
      varying.length === 0
        ? null
        : (variables) => varying.reduce((total, costOf) => total + costOf(variables), 0),
  };
}

/** How many items a connection is asked for: a number, or what a variable says; null for what has no pages. */
function pageOf(
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
  defaults: ReadonlyMap<string, unknown>,
): number | CostOf | null {
  const first = field.args.find(({ name }) => name === 'first');
  if (!first) return null;
  const given = node.arguments?.find(({ name }) => name.value === 'first')?.value;
  if (given?.kind === Kind.INT) return clamped(Number(given.value));
  if (given?.kind !== Kind.VARIABLE) return clamped(first.defaultValue);
  const name = given.name.value;
  return (variables) => clamped(variables[name] ?? defaults.get(name) ?? first.defaultValue);
}

function clamped(size: unknown): number {
  return typeof size === 'number' ? Math.min(Math.max(size, 1), MAX_PAGE) : MAX_PAGE;
}

function defaultsOf({ variableDefinitions }: OperationDefinitionNode): ReadonlyMap<string, unknown> {
  return new Map(
    (variableDefinitions ?? []).flatMap(({ variable, defaultValue }) =>
      defaultValue?.kind === Kind.INT ? [[variable.name.value, Number(defaultValue.value)]] : [],
    ),
  );
}

function fieldOf(
  schema: GraphQLSchema,
  typeName: string,
  name: string,
): GraphQLField<unknown, unknown> | undefined {
  const meta = META_FIELDS.get(name);
  if (meta) return meta;
  const type = schema.getType(typeName);
  return isObjectType(type) || isInterfaceType(type) ? type.getFields()[name] : undefined;
}
