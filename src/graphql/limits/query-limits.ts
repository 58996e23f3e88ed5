import {
  type DefinitionNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  Kind,
  type SelectionSetNode,
  visit,
} from 'graphql';
import { QueryTooComplex } from '../../core/errors.js';
import { countPairs } from './pairs.js';

/** Limits on a document. A fragment counts wherever it is spread, because it is executed there. */
export interface QueryLimits {
  /** Lexical tokens of the text. Parsing stops at the limit. */
  tokens: number;
  /** Levels of nested fields. */
  depth: number;
  aliases: number;
  directives: number;
  /** Top-level fields of one operation. */
  rootFields: number;
  /** Elements of one list, in the document or in the variables. */
  listSize: number;
  /** Cost points of an operation: see query-cost.ts. A document with more fields than this is rejected before validation. */
  cost: number;
}

/** For a document that reads the schema. Each alias can repeat thousands of fields, which the cost does not count. */
const MAX_INTROSPECTION_ALIASES = 2;
/** Nesting of lists and objects in the variables. `metadata` needs a few levels. */
const MAX_VARIABLE_DEPTH = 32;
/** What V8 needs for an empty object or list, for a field beside its name and value, and for an element of a list. */
const OBJECT_BYTES = 64;
const FIELD_BYTES = 48;
const ELEMENT_BYTES = 16;
/** Comparing them takes some 10 ms. A document with 20 fragments that each read the same 20 fields has 4,000. */
export const MAX_PAIRS = 10_000;
/** Of all operations of a document, with fragments wherever they are spread. Visiting them takes a few milliseconds. */
const MIN_SELECTIONS_LIMIT = 20_000;

interface DocumentMetrics {
  depth: number;
  fields: number;
  aliases: number;
  directives: number;
  rootFields: number;
  isIntrospecting: boolean;
}

/**
 * Throws QueryTooComplex if the document is over a limit. It visits each definition once, however often a fragment is
 * spread. It runs before the validation rules of graphql-js, some of which take quadratic time. Cycles of fragments pass,
 * because those rules report them.
 */
export function checkDocumentLimits(document: DocumentNode, limits: QueryLimits): void {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const metricsByFragment = new Map<string, DocumentMetrics>();

  const measureFragment = (name: string): DocumentMetrics => {
    const cached = metricsByFragment.get(name);
    if (cached) return cached;
    metricsByFragment.set(name, emptyMetrics());
    const fragment = fragments.get(name);
    const metrics = fragment ? measureSelectionSet(fragment.selectionSet) : emptyMetrics();
    metrics.directives += fragment?.directives?.length ?? 0;
    metricsByFragment.set(name, metrics);
    return metrics;
  };
  const measureSelectionSet = (set: SelectionSetNode | undefined): DocumentMetrics => {
    const sum = emptyMetrics();
    for (const selection of set?.selections ?? []) {
      const inner =
        selection.kind === Kind.FRAGMENT_SPREAD
          ? measureFragment(selection.name.value)
          : measureSelectionSet(selection.selectionSet);
      const isField = selection.kind === Kind.FIELD;
      sum.depth = Math.max(sum.depth, inner.depth + (isField ? 1 : 0));
      sum.fields += inner.fields + (isField ? 1 : 0);
      sum.rootFields += isField ? 1 : inner.rootFields;
      sum.aliases += inner.aliases + (isField && selection.alias ? 1 : 0);
      sum.directives += inner.directives + (selection.directives?.length ?? 0);
      sum.isIntrospecting ||=
        inner.isIntrospecting || (isField && /^__(schema|type)$/.test(selection.name.value));
    }
    return sum;
  };

  visit(document, {
    ListValue: ({ values }) => assertWithinLimit(limits.listSize, values.length, 'elements in one list'),
  });
  for (const definition of document.definitions) {
    const metrics =
      definition.kind === Kind.FRAGMENT_DEFINITION
        ? measureFragment(definition.name.value)
        : measureSelectionSet('selectionSet' in definition ? definition.selectionSet : undefined);
    assertWithinLimit(limits.depth, metrics.depth, 'levels of fields');
    assertWithinLimit(limits.aliases, metrics.aliases, 'aliases');
    if (metrics.isIntrospecting)
      assertWithinLimit(
        MAX_INTROSPECTION_ALIASES,
        metrics.aliases,
        'aliases in a document that reads the schema',
      );
    assertWithinLimit(limits.directives, metrics.directives + countDirectives(definition), 'directives');
    assertWithinLimit(limits.cost, metrics.fields, 'fields');
    if (definition.kind === Kind.OPERATION_DEFINITION)
      assertWithinLimit(limits.rootFields, metrics.rootFields, 'top-level fields');
  }
  const maxSelections = Math.max(MIN_SELECTIONS_LIMIT, 2 * limits.cost);
  const pairs = countPairs(document, {
    maxDepth: limits.depth,
    onSelections: (count) => assertWithinLimit(maxSelections, count, 'selections in all its operations'),
  });
  assertWithinLimit(
    MAX_PAIRS,
    pairs,
    'pairs of fields with the same name, or of fragments, in the same place',
  );
}

/**
 * Throws QueryTooComplex if the text has more lines than it may have tokens. For each error graphql-js searches all lines
 * before it, so a megabyte of line breaks would take seconds.
 */
export function checkTextLimits(query: string, limits: QueryLimits): void {
  const lineBreaks = /\r\n|[\n\r]/g;
  for (let lines = 1; lineBreaks.test(query); lines += 1)
    if (lines === limits.tokens) throw new QueryTooComplex(`more than ${limits.tokens} lines (the limit)`);
}

/**
 * Returns about as many bytes as the variables take in memory. Throws QueryTooComplex for lists that are too long, and for nesting
 * so deep that recursion could overflow the stack.
 */
export function measureVariables(variables: unknown, limits: QueryLimits): number {
  const measure = (value: unknown, depth: number): number => {
    if (typeof value === 'string') return bytesOfText(value);
    if (typeof value !== 'object' || value === null) return 0;
    assertWithinLimit(MAX_VARIABLE_DEPTH, depth, 'levels in its variables');
    let bytes = OBJECT_BYTES;
    if (Array.isArray(value)) {
      assertWithinLimit(limits.listSize, value.length, 'elements in one list');
      for (const item of value) bytes += ELEMENT_BYTES + measure(item, depth + 1);
      return bytes;
    }
    for (const name of Object.keys(value))
      bytes += FIELD_BYTES + bytesOfText(name) + measure((value as Record<string, unknown>)[name], depth + 1);
    return bytes;
  };
  return measure(variables, 0);
}

/** What a text takes in memory at most. */
export function bytesOfText(text: string): number {
  return 2 * text.length;
}

/** Throws QueryTooComplex if `actual` is over `limit`. */
export function assertWithinLimit(limit: number, actual: number, unit: string): void {
  if (actual <= limit) return;
  const amount = actual > 1_000_000 ? 'more than a million' : String(actual);
  throw new QueryTooComplex(`${amount} ${unit} (limit: ${limit})`);
}

function emptyMetrics(): DocumentMetrics {
  return { depth: 0, fields: 0, aliases: 0, directives: 0, rootFields: 0, isIntrospecting: false };
}

function countDirectives(definition: DefinitionNode): number {
  if (definition.kind !== Kind.OPERATION_DEFINITION) return 0;
  const variableDirectives = (definition.variableDefinitions ?? []).flatMap(
    ({ directives }) => directives ?? [],
  );
  return (definition.directives?.length ?? 0) + variableDirectives.length;
}
