import { getIntrospectionQuery } from 'graphql';

export interface HostileDocument {
  query: string;
  variables?: Record<string, unknown>;
  /** Matches the message of the rejection. Absent when the validation rules of graphql-js reject the document. */
  expectedMessage?: RegExp;
}

const repeat = (count: number, build: (index: number) => string, separator = ' ') =>
  Array.from({ length: count }, (_, index) => build(index)).join(separator);
const nest = (levels: number, field: string, innermost: string) =>
  `${repeat(levels, () => `${field} {`)} ${innermost} ${repeat(levels, () => '}')}`;
/** Fragment 0 spreads fragment 1 twice, and so on. They expand to 2 to the power of `count` fields. */
const doublingFragments = (count: number, selection: string, spread = (name: string) => `...${name}`) =>
  repeat(
    count,
    (index) => `fragment f${index} on Task { ${spread(`f${index + 1}`)} ${spread(`f${index + 1}`)} }`,
    '\n',
  ) + `\nfragment f${count} on Task { ${selection} }`;

const TASK_WITH_FRAGMENT = '{ task(id: "x") { ...f0 } }\n';
const TASK_NODES = 'tasks(first: 100) { nodes';
let deeplyNestedList: unknown = 1;
for (let level = 0; level < 150; level += 1) deeplyNestedList = [deeplyNestedList];

/** Documents that the server must reject, by what is wrong with them. */
export const HOSTILE_DOCUMENTS: Record<string, HostileDocument> = {
  'one token more than allowed': { query: `{ ${repeat(2_001, () => 'viewer')} }`, expectedMessage: /tokens/ },
  '30,000 tokens': { query: `{ ${repeat(30_000, () => 'a')} }`, expectedMessage: /tokens/ },
  '20,000 nested selection sets': {
    query: '{a'.repeat(20_000),
    expectedMessage: /tokens|levels of nesting/,
  },
  '20,000 nested lists': {
    query: `{ task(id: ${'['.repeat(20_000)}`,
    expectedMessage: /tokens|levels of nesting/,
  },
  '20,000 nested list types of a variable': {
    query: `query ($v: ${'['.repeat(20_000)}`,
    expectedMessage: /tokens|levels of nesting/,
  },
  '16 levels': {
    query: `{ task(id: "x") { ${nest(14, 'retryOf', 'id')} } }`,
    expectedMessage: /16 levels of fields \(limit: 15\)/,
  },
  '16 levels, some in a fragment': {
    query: `{ task(id: "x") { ...f } } fragment f on Task { ${nest(14, 'retryOf', 'id')} }`,
    expectedMessage: /levels of fields/,
  },
  '16 levels in fragments of one level each': {
    query: `${TASK_WITH_FRAGMENT}${repeat(15, (n) => `fragment f${n} on Task { retryOf { ...f${n + 1} } }`)} fragment f15 on Task { id }`,
    expectedMessage: /levels of fields/,
  },
  '300 levels': { query: `{ ${nest(300, 'a', 'b')} }`, expectedMessage: /levels of fields/ },
  'a deep introspection query': {
    query: `{ __schema { types { ${nest(14, 'ofType', 'name')} } } }`,
    expectedMessage: /levels of fields/,
  },
  'a cyclic introspection query': {
    query: `{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }`,
  },
  '3 aliases in an introspection query': {
    query: `{ __schema { types { ${repeat(3, (n) => `a${n}: fields { name }`)} } } }`,
    expectedMessage: /3 aliases in a document that reads the schema \(limit: 2\)/,
  },
  '3 introspection queries in one': {
    query: `{ ${repeat(3, (n) => `a${n}: __schema { types { ...f } }`)} } fragment f on __Type { name }`,
    expectedMessage: /aliases in a document/,
  },
  '31 aliases': {
    query: `{ viewer { ${repeat(31, (n) => `a${n}: keyName`)} } }`,
    expectedMessage: /31 aliases \(limit: 30\)/,
  },
  '31 aliases of an expensive field': {
    query: `{ ${repeat(31, (n) => `a${n}: ${TASK_NODES} { id } }`)} }`,
    expectedMessage: /aliases/,
  },
  'aliases multiplied by fragments': {
    query: `${TASK_WITH_FRAGMENT}${doublingFragments(6, 'a: id')}`,
    expectedMessage: /aliases/,
  },
  '31 directives': {
    query: `{ viewer { ${repeat(31, () => 'keyName @include(if: true)')} } }`,
    expectedMessage: /31 directives \(limit: 30\)/,
  },
  '200 directives on one field': {
    query: `{ viewer { keyName ${repeat(200, () => '@skip(if: false)')} } }`,
    expectedMessage: /directives/,
  },
  '500 unknown directives': {
    query: `{ viewer { keyName ${repeat(500, () => '@a')} } }`,
    expectedMessage: /directives/,
  },
  '40 directives on a query': {
    query: `query ${repeat(40, () => '@a')} { viewer { keyName } }`,
    expectedMessage: /directives/,
  },
  'directives on spreads, multiplied by fragments': {
    query: `${TASK_WITH_FRAGMENT}${doublingFragments(8, 'id', (name) => `...${name} @include(if: true)`)}`,
    expectedMessage: /directives/,
  },
  '21 top-level fields': {
    query: `{ ${repeat(21, () => 'models { name }')} }`,
    expectedMessage: /21 top-level fields \(limit: 20\)/,
  },
  '21 top-level fields in fragments': {
    query: `{ ${repeat(7, () => '...q')} } fragment q on Query { models { name } models { name } models { name } }`,
    expectedMessage: /top-level fields/,
  },
  '20 fragments that each spread the next one twice': {
    query: TASK_WITH_FRAGMENT + doublingFragments(20, 'id'),
    expectedMessage: /more than a million fields \(limit: 10000\)/,
  },
  '150 fragments that each spread the next one twice': {
    query: TASK_WITH_FRAGMENT + doublingFragments(150, 'id'),
    expectedMessage: /fields/,
  },
  '18 fragments that each spread the next one twice inline': {
    query: TASK_WITH_FRAGMENT + doublingFragments(18, 'id', (name) => `... on Task { ...${name} }`),
    expectedMessage: /fields/,
  },
  'a fragment that spreads itself': { query: `${TASK_WITH_FRAGMENT} fragment f0 on Task { id ...f0 }` },
  'a cycle of fragments': {
    query: `${TASK_WITH_FRAGMENT}${repeat(40, (n) => `fragment f${n} on Task { id ...f${(n + 1) % 40} }`)}`,
  },
  'a cycle of fragments through fields': {
    query: `${TASK_WITH_FRAGMENT} fragment f0 on Task { retryOf { ...f1 } } fragment f1 on Task { retryOf { ...f0 } }`,
  },
  '480 equal lists': {
    query: `{ tasks { ${repeat(480, () => 'nodes { id }')} } }`,
    expectedMessage:
      /229920 pairs of fields with the same name, or of fragments, in the same place \(limit: 10000\)/,
  },
  '150 fragments with the same fields': {
    query: `{ task(id: "x") { ${repeat(150, (n) => `...f${n}`)} } } ${repeat(150, (n) => `fragment f${n} on Task { id status }`)}`,
    expectedMessage: /pairs of fields/,
  },
  '30,000 lines': {
    query: `${'\n'.repeat(30_000)}{ viewer { ${repeat(100, (n) => `field${n}`)} } }`,
    expectedMessage: /more than 2000 lines/,
  },
  'conflicts among thousands of pairs of fields': {
    query: `{ viewer { ${repeat(900, () => 'keyName')} ${repeat(29, (n) => `keyName: keyId a${n}: keyId`)} } }`,
    expectedMessage: /aliases/,
  },
  '900 unknown fields': { query: `{ viewer { ${repeat(900, (n) => `field${n}`)} } }` },
  'pages within pages': {
    query: `{ ${TASK_NODES} { images { edits(first: 100) { nodes { id } } } } } }`,
    expectedMessage: /cost points \(limit: 10000\)/,
  },
  'pages within pages of the default size': {
    query: `{ ${TASK_NODES} { events { nodes { id at } } } } }`,
    expectedMessage: /cost points/,
  },
  'page sizes in a variable': {
    query: 'query ($n: Int! = 1) { tasks(first: $n) { nodes { events(first: $n) { nodes { id } } } } }',
    variables: { n: 100 },
    expectedMessage: /cost points/,
  },
  'page sizes in the default of a variable': {
    query: 'query ($n: Int! = 100) { tasks(first: $n) { nodes { events(first: $n) { nodes { id } } } } }',
    expectedMessage: /cost points/,
  },
  'images of tasks of images': {
    query: `{ tasks { nodes { ${repeat(6, () => 'images { task {')} id ${repeat(6, () => '} }')} } } }`,
    expectedMessage: /cost points/,
  },
  'ten paid mutations': {
    query: `mutation { ${repeat(10, (n) => `a${n}: generateImages(input: { prompt: "p" }) { replayed }`)} }`,
    expectedMessage: /cost points/,
  },
  'a list of 1,001 elements in a variable': {
    query: 'query ($ids: [ID!]) { taskEvents(filter: { taskIds: $ids }) { nodes { id } } }',
    variables: { ids: Array.from({ length: 1_001 }, () => 'x') },
    expectedMessage: /1001 elements in one list \(limit: 1000\)/,
  },
  'a list of 1,001 elements in the document': {
    query: `{ taskEvents(filter: { taskIds: [${repeat(1_001, () => '"x"', ',')}] }) { nodes { id } } }`,
    expectedMessage: /elements in one list/,
  },
  'deeply nested variables': {
    query: 'query ($v: ID!) { task(id: $v) { id } }',
    variables: { v: deeplyNestedList },
    expectedMessage: /levels in its variables \(limit: 32\)/,
  },
  '30 introspections under aliases': {
    query: `{ ${repeat(30, (n) => `a${n}: __schema { types { name } }`)} }`,
    expectedMessage: /30 aliases in a document/,
  },
};

/** The introspection query that GraphQL tools send. The server must accept it. */
export const INTROSPECTION_QUERY = getIntrospectionQuery();
