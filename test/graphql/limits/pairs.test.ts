import { describe, expect, test } from '@jest/globals';
import { buildSchema, type DocumentNode, Kind, parse, specifiedRules, validate, visit } from 'graphql';
import { QueryTooComplex } from '../../../src/core/errors.js';
import { countPairs } from '../../../src/graphql/limits/pairs.js';
import { checkDocumentLimits, MAX_PAIRS } from '../../../src/graphql/limits/query-limits.js';

const schema = buildSchema(`
  interface Node { id: ID!, nodes(first: Int): [Node!]! }
  type Task implements Node { id: ID!, nodes(first: Int): [Node!]!, task: Task }
  type Query { id: ID!, nodes(first: Int): [Node!]!, task: Task, other: Task }
`);
/** The default ones. */
const LIMITS = {
  ...{ tokens: 2_000, depth: 15, aliases: 30, directives: 30, rootFields: 20 },
  ...{ listSize: 1_000, cost: 10_000 },
};
/** Reads of a field's name for each pair, and for each field by the other rules. */
const READS_PER_PAIR = 8;
const READS_PER_FIELD = 100;

const repeat = (count: number, build: (index: number) => string) =>
  Array.from({ length: count }, (_, n) => build(n)).join(' ');
const fragments = (count: number, selection: (index: number) => string) =>
  repeat(count, (n) => `fragment f${n} on Task { ${selection(n)} }`);

/** Documents of the largest size that the limit of tokens admits. */
const LARGE_DOCUMENTS: Readonly<Record<string, string>> = {
  'equal leaves': `{ task { ${repeat(1_990, () => 'id')} } }`,
  'equal lists': `{ task { ${repeat(480, () => 'nodes { id }')} } }`,
  'equal lists with arguments': `{ task { ${repeat(215, () => 'nodes(first: 1) { id }')} } }`,
  'equal lists of equal lists': `{ task { ${repeat(40, () => `nodes { ${repeat(44, () => 'id')} }`)} } }`,
  'conflicting lists': `{ task { ${repeat(215, (n) => `nodes(first: ${n}) { id }`)} } }`,
  'fragments with the same fields': `{ task { ${repeat(150, (n) => `...f${n}`)} } } ${fragments(150, () => 'id task { id }')}`,
  'fragments that spread all that follow': `{ task { ...f0 } } ${fragments(33, (n) => `id nodes { id } ${repeat(32 - n, (m) => `...f${n + m + 1}`)}`)} `,
  'the same fragments in many places': `{ task { ${repeat(60, () => `task { ${repeat(8, (n) => `...f${n}`)} }`)} } } ${fragments(8, () => 'id task { id nodes { id } }')}`,
  'a chain of fragments under fields': `{ task { ...f0 ...f0 } } ${fragments(14, (n) => `task { id ...f${n + 1} } task { id ...f${n + 1} }`)} fragment f14 on Task { id }`,
  'unused fragments': `{ id } ${fragments(6, () => repeat(80, () => 'nodes { id }'))}`,
  'inline fragments': `{ task { ${repeat(218, () => '... on Task { task { id } }')} } }`,
  'equal lists with many fragments': `{ task { ${repeat(45, () => `nodes { ${repeat(18, (n) => `...f${n}`)} }`)} } } ${fragments(18, (n) => `x${n}: id`)}`,
  'many operations': `${repeat(60, (n) => `query q${n} { task { ...f0 } }`)} ${fragments(20, (n) => `id id ...f${n + 1}`)} fragment f20 on Task { id }`,
};

/** How often validation reads the name or the alias of a field. */
function readsOf(document: DocumentNode): { reads: number; fields: number } {
  let reads = 0;
  let fields = 0;
  visit(document, {
    Field: (node) => {
      fields += 1;
      const { name } = node;
      Object.defineProperty(node, 'name', { enumerable: true, get: () => ((reads += 1), name) });
    },
  });
  validate(schema, document, specifiedRules);
  return { reads, fields };
}

const countOf = (query: string) =>
  countPairs(parse(query), { maxDepth: LIMITS.depth, onSelections: () => undefined });

describe('pairs of fields with the same name, and of fragments, in the same place', () => {
  test.each([
    ['{ id }', 0],
    ['{ id id id }', 3],
    ['{ id a: id }', 0],
    ['{ id id: other { id } }', 1],
    ['{ task { id } other { id } }', 0],
    ['{ task { id } task { id } task { id } }', 6],
    ['{ task { id } ... on Query { task { id } } }', 2],
    ['{ task { id ...f ...f } } fragment f on Task { id }', 2],
    ['{ task { ...f } task { ...f } } fragment f on Task { id id }', 3],
    ['{ task { ...f ...g } } fragment f on Task { id } fragment g on Task { name }', 1],
    ['{ id } fragment unused on Task { id id }', 1],
    ['{ task { ...f } } fragment f on Task { id ...f }', 1],
  ])('%s has %d', (query, expected) => {
    expect(countOf(query)).toBe(expected);
  });

  test.each(Object.keys(LARGE_DOCUMENTS))('bound the work of validation for %s', (name) => {
    const query = LARGE_DOCUMENTS[name] ?? '';
    const pairs = countOf(query);
    const { reads, fields } = readsOf(parse(query));
    expect(reads).toBeLessThanOrEqual(pairs * READS_PER_PAIR + fields * READS_PER_FIELD);
  });

  test.each(Object.keys(LARGE_DOCUMENTS))('are few in documents that are validated, as for %s', (name) => {
    const document = parse(LARGE_DOCUMENTS[name] ?? '', { maxTokens: LIMITS.tokens });
    try {
      checkDocumentLimits(document, LIMITS);
    } catch (error) {
      expect(error).toBeInstanceOf(QueryTooComplex);
      return;
    }
    const { reads, fields } = readsOf(document);
    expect(reads).toBeLessThanOrEqual(MAX_PAIRS * READS_PER_PAIR + fields * READS_PER_FIELD);
  });
});

test('visiting a document ends, however its fragments spread each other', () => {
  const all = repeat(24, (n) => `...f${n}`);
  const complete = parse(
    `{ task { ...f0 } } ${fragments(24, () => `task { ${all} } other: task { ${all} }`)}`,
  );
  expect(complete.definitions[1]?.kind).toBe(Kind.FRAGMENT_DEFINITION);
  let last = 0;
  const stop = new Error('too many');
  const count = () =>
    countPairs(complete, {
      maxDepth: LIMITS.depth,
      onSelections: (selections) => {
        last = selections;
        if (selections > 20_000) throw stop;
      },
    });
  expect(count).toThrow(stop);
  expect(last).toBeLessThan(22_000);
});
