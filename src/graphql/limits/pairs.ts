import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  Kind,
  type SelectionSetNode,
} from 'graphql';

export interface PairOptions {
  /** Fields below this level are not counted. Only a cycle of fragments has some, which the validation rules report. */
  maxDepth: number;
  /**
   * Called with the number of selections so far, with those of a fragment wherever it is spread. It throws when it is too
   * large.
   */
  onSelections: (count: number) => void;
}

/**
 * Counts the pairs of fields that have the same name in the same place of the result, and the pairs of fragments that are
 * spread in the same place. The rule OverlappingFieldsCanBeMerged of graphql-js compares each such pair, so the number is a
 * bound of its work. The fields of a fragment count once in each place where it is spread.
 */
export function countPairs(document: DocumentNode, { maxDepth, onSelections }: PairOptions): number {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const spreadFragments = new Set<string>();
  let selectionCount = 0;
  let pairs = 0;

  const collect = (set: SelectionSetNode, place: Place): void => {
    selectionCount += set.selections.length;
    onSelections(selectionCount);
    for (const selection of set.selections) {
      if (selection.kind === Kind.FIELD) {
        const responseName = (selection.alias ?? selection.name).value;
        const fields = place.fields.get(responseName);
        if (fields) fields.push(selection);
        else place.fields.set(responseName, [selection]);
      } else if (selection.kind === Kind.INLINE_FRAGMENT) collect(selection.selectionSet, place);
      else {
        place.spreadCount += 1;
        const name = selection.name.value;
        if (place.fragments.has(name)) continue;
        place.fragments.add(name);
        spreadFragments.add(name);
        const fragment = fragments.get(name);
        if (fragment) collect(fragment.selectionSet, place);
      }
    }
  };
  const countIn = (sets: readonly SelectionSetNode[], depth: number): void => {
    if (sets.length === 0 || depth > maxDepth) return;
    const place: Place = { fields: new Map(), fragments: new Set(), spreadCount: 0 };
    for (const set of sets) collect(set, place);
    pairs += pairsOf(place.spreadCount);
    for (const fields of place.fields.values()) {
      pairs += pairsOf(fields.length);
      countIn(
        fields.flatMap(({ selectionSet }) => selectionSet ?? []),
        depth + 1,
      );
    }
  };

  for (const definition of document.definitions)
    if (definition.kind === Kind.OPERATION_DEFINITION) countIn([definition.selectionSet], 1);
  // Unused ones are validated as well, before they are reported.
  for (const [name, { selectionSet }] of fragments)
    if (!spreadFragments.has(name)) countIn([selectionSet], 1);
  return pairs;
}

function pairsOf(count: number): number {
  return (count * (count - 1)) / 2;
}

/** A place of the result: the root, or what all fields select that have the same names from the root on. */
interface Place {
  /** By the name in the result. */
  fields: Map<string, FieldNode[]>;
  /** Names of those that were spread here. */
  fragments: Set<string>;
  spreadCount: number;
}
