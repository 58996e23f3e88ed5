import {
  type DefinitionNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  Kind,
  type SelectionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';
import { QueryTooComplex } from '../../core/errors.js';

/** What a document may have, counted as it is executed: a fragment counts wherever it is spread. */
export interface QueryLimits {
  /** Words and signs of the text; parsing stops there. */
  tokens: number;
  /** Fields within fields. */
  depth: number;
  aliases: number;
  directives: number;
  /** Fields at the top of one operation. */
  rootFields: number;
  /** Elements of one list, in the document or in the variables. */
  listSize: number;
  /** See query-cost.ts. A document with more fields than this is refused before it is checked against the schema. */
  cost: number;
}

/** Lists and objects within each other in the variables; people who keep metadata need a few. */
const VARIABLE_DEPTH = 32;

interface Measure {
  depth: number;
  fields: number;
  aliases: number;
  directives: number;
  rootFields: number;
}

/**
 * Throws QueryTooComplex when the document is over a limit. Looks at each definition once, however often it is spread, and
 * before graphql's own rules, some of which take time with the square of what they are given. Circles of fragments end here
 * without a word: those rules name them.
 */
export function checkDocument(document: DocumentNode, limits: QueryLimits): void {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const measured = new Map<string, Measure>();

  const measureFragment = (name: string): Measure => {
    const known = measured.get(name);
    if (known) return known;
    measured.set(name, nothing());
    const fragment = fragments.get(name);
    const measure = fragment ? measureSet(fragment.selectionSet) : nothing();
    measure.directives += fragment?.directives?.length ?? 0;
    measured.set(name, measure);
    return measure;
  };
  const measureSet = (set: SelectionSetNode | undefined): Measure => {
    const sum = nothing();
    for (const selection of set?.selections ?? []) {
      const inner =
        selection.kind === Kind.FRAGMENT_SPREAD
          ? measureFragment(selection.name.value)
          : measureSet(selection.selectionSet);
      const isField = selection.kind === Kind.FIELD;
      sum.depth = Math.max(sum.depth, inner.depth + (isField ? 1 : 0));
      sum.fields += inner.fields + (isField ? 1 : 0);
      sum.rootFields += isField ? 1 : inner.rootFields;
      sum.aliases += inner.aliases + (isField && selection.alias ? 1 : 0);
      sum.directives += inner.directives + (selection.directives?.length ?? 0);
      checkLists(selection, limits.listSize);
    }
    return sum;
  };

  for (const definition of document.definitions) {
    const measure =
      definition.kind === Kind.FRAGMENT_DEFINITION
        ? measureFragment(definition.name.value)
        : measureSet('selectionSet' in definition ? definition.selectionSet : undefined);
    refuseAbove(limits.depth, measure.depth, 'levels of fields');
    refuseAbove(limits.aliases, measure.aliases, 'aliases');
    refuseAbove(limits.directives, measure.directives + directivesOf(definition), 'directives');
    refuseAbove(limits.cost, measure.fields, 'fields');
    if (definition.kind === Kind.OPERATION_DEFINITION)
      refuseAbove(limits.rootFields, measure.rootFields, 'fields at its top');
  }
}

/** Throws QueryTooComplex for lists that are too long, and for what is nested so deep that walking it is a risk. */
export function checkVariables(variables: unknown, limits: QueryLimits): void {
  const walk = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null) return;
    refuseAbove(VARIABLE_DEPTH, depth, 'levels in its variables');
    if (Array.isArray(value)) refuseAbove(limits.listSize, value.length, 'elements in one list');
    for (const item of Object.values(value)) walk(item, depth + 1);
  };
  walk(variables, 0);
}

/** Throws QueryTooComplex where there is more than allowed. */
export function refuseAbove(allowed: number, found: number, what: string): void {
  if (found <= allowed) return;
  const amount = found > 1_000_000 ? 'more than a million' : String(found);
  throw new QueryTooComplex(`${amount} ${what}; ${allowed} are allowed`);
}

function nothing(): Measure {
  return { depth: 0, fields: 0, aliases: 0, directives: 0, rootFields: 0 };
}

function directivesOf(definition: DefinitionNode): number {
  if (definition.kind !== Kind.OPERATION_DEFINITION) return 0;
  const ofVariables = (definition.variableDefinitions ?? []).flatMap(({ directives }) => directives ?? []);
  return (definition.directives?.length ?? 0) + ofVariables.length;
}

function checkLists(selection: SelectionNode, allowed: number): void {
  const walk = (value: ValueNode): void => {
    if (value.kind === Kind.LIST) {
      refuseAbove(allowed, value.values.length, 'elements in one list');
      value.values.forEach(walk);
    } else if (value.kind === Kind.OBJECT) value.fields.forEach((field) => walk(field.value));
  };
  for (const { arguments: args } of [selection, ...(selection.directives ?? [])] as WithArguments[])
    for (const { value } of args ?? []) walk(value);
}

interface WithArguments {
  arguments?: readonly { value: ValueNode }[];
}
