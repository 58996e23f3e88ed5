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

/** Mutations that make the upstream charge money, and their cost. */
export const PAID_MUTATIONS: ReadonlySet<string> = new Set(['generateImages', 'editImage', 'retryTask']);
const PAID_MUTATION_COST = 1_000;
/** Assumed length of a list without pages. A task has at most this many images. */
const ASSUMED_LIST_SIZE = 4;
/** Maximum page size. The resolver rejects a larger `first`. */
const MAX_PAGE_SIZE = 100;

/** Introspection fields, which no type lists among its own. */
const META_FIELDS: ReadonlyMap<string, GraphQLField<unknown, unknown>> = new Map(
  [SchemaMetaFieldDef, TypeMetaFieldDef, TypeNameMetaFieldDef].map((field) => [field.name, field]),
);

/** Cost points of an operation. A field costs 1, times the size of every page and list around it. A paid mutation costs 1,000. */
export type CostFunction = (variables: Readonly<Record<string, unknown>>) => number;

/**
 * Calculates the cost of a valid operation. checkDocumentLimits must have counted its fields, which bounds the work of
 * expanding its fragments. The part that does not depend on variables is added up once, for all requests.
 */
export function costOfOperation(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
): CostFunction {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const variableDefaults = variableDefaultsOf(operation);

  const costOfField = (node: FieldNode, typeName: string): Cost => {
    const field = findField(schema, typeName, node.name.value);
    if (!field) return fixedCost(1);
    const isPaid = typeName === 'Mutation' && PAID_MUTATIONS.has(field.name);
    const ownCost = isPaid ? PAID_MUTATION_COST : 1;
    const type = getNamedType(field.type);
    if (!node.selectionSet || !isCompositeType(type)) return fixedCost(ownCost);
    const inner = costOfSelectionSet(node.selectionSet, type.name);
    const pageSize = pageSizeOf(field, node, variableDefaults);
    if (typeof pageSize === 'function') {
      return {
        fixed: ownCost,
        byVariables: (variables) => pageSize(variables) * evaluateCost(inner, variables),
      };
    }
    const isPlainList = isListType(getNullableType(field.type)) && !/Connection$|^__/.test(typeName);
    return multiplyCost(pageSize ?? (isPlainList ? ASSUMED_LIST_SIZE : 1), inner, ownCost);
  };
  const costOfSelectionSet = (set: SelectionSetNode, typeName: string): Cost => {
    const parts = set.selections.map((selection): Cost => {
      if (selection.kind === Kind.FIELD) return costOfField(selection, typeName);
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        return costOfSelectionSet(selection.selectionSet, selection.typeCondition?.name.value ?? typeName);
      }
      const fragment = fragments.get(selection.name.value);
      return fragment
        ? costOfSelectionSet(fragment.selectionSet, fragment.typeCondition.name.value)
        : fixedCost(0);
    });
    return sumCosts(parts);
  };

  const root = schema.getRootType(operation.operation)?.name ?? '';
  const cost = costOfSelectionSet(operation.selectionSet, root);
  return (variables) => evaluateCost(cost, variables);
}

interface Cost {
  fixed: number;
  byVariables: CostFunction | null;
}

function fixedCost(fixed: number): Cost {
  return { fixed, byVariables: null };
}

function evaluateCost({ fixed, byVariables }: Cost, variables: Readonly<Record<string, unknown>>): number {
  return byVariables ? fixed + byVariables(variables) : fixed;
}

function multiplyCost(factor: number, { fixed, byVariables }: Cost, ownCost: number): Cost {
  return {
    fixed: ownCost + factor * fixed,
    byVariables: byVariables && ((variables) => factor * byVariables(variables)),
  };
}

function sumCosts(parts: readonly Cost[]): Cost {
  const varying = parts.flatMap((part) => part.byVariables ?? []);
  return {
    fixed: parts.reduce((total, part) => total + part.fixed, 0),
    byVariables:
      varying.length === 0
        ? null
        : (variables) => varying.reduce((total, costOf) => total + costOf(variables), 0),
  };
}

/** Requested page size of a connection: a number, or a function of the variables. Null for a field without pages. */
function pageSizeOf(
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
  defaults: ReadonlyMap<string, unknown>,
): number | CostFunction | null {
  const firstArgument = field.args.find(({ name }) => name === 'first');
  if (!firstArgument) return null;
  const value = node.arguments?.find(({ name }) => name.value === 'first')?.value;
  if (value?.kind === Kind.INT) return clampPageSize(Number(value.value));
  if (value?.kind !== Kind.VARIABLE) return clampPageSize(firstArgument.defaultValue);
  const name = value.name.value;
  return (variables) => clampPageSize(variables[name] ?? defaults.get(name) ?? firstArgument.defaultValue);
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
