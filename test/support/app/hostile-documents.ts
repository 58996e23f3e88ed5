import { getIntrospectionQuery } from 'graphql';

export interface Hostile {
  query: string;
  variables?: Record<string, unknown>;
  /** What the refusal names; absent: graphql's own rules refuse it. */
  says?: RegExp;
}

const many = (count: number, one: (index: number) => string, between = ' ') =>
  Array.from({ length: count }, (_, index) => one(index)).join(between);
const nested = (levels: number, open: string, inside: string) =>
  `${many(levels, () => `${open} {`)} ${inside} ${many(levels, () => '}')}`;
/** Fragment 0 spreads fragment 1 twice, and so on: 2 to the power of `count` fields in the end. */
const doubling = (count: number, of: string, spread = (name: string) => `...${name}`) =>
  many(
    count,
    (index) => `fragment f${index} on Task { ${spread(`f${index + 1}`)} ${spread(`f${index + 1}`)} }`,
    '\n',
  ) + `\nfragment f${count} on Task { ${of} }`;

const TASK = '{ task(id: "x") { ...f0 } }\n';
const NODES = 'tasks(first: 100) { nodes';
let deep: unknown = 1;
for (let level = 0; level < 500; level += 1) deep = [deep];

/** Documents that a server must not work on, each refused for what it is. */
export const HOSTILE_DOCUMENTS: Record<string, Hostile> = {
  'more tokens than are allowed': { query: `{ ${many(2_001, () => 'viewer')} }`, says: /tokens/ },
  'tokens without end': { query: `{ ${many(30_000, () => 'a')} }`, says: /tokens/ },
  'brackets without end': { query: '{a'.repeat(20_000), says: /tokens|levels within levels/ },
  'lists in lists without end': {
    query: `{ task(id: ${'['.repeat(20_000)}`,
    says: /tokens|levels within levels/,
  },
  'types of variables without end': {
    query: `query ($v: ${'['.repeat(20_000)}`,
    says: /tokens|levels within levels/,
  },
  '16 levels': {
    query: `{ task(id: "x") { ${nested(14, 'retryOf', 'id')} } }`,
    says: /16 levels of fields; 15/,
  },
  '16 levels in a fragment': {
    query: `{ task(id: "x") { ...f } } fragment f on Task { ${nested(14, 'retryOf', 'id')} }`,
    says: /levels of fields/,
  },
  '16 levels in fragments of one level': {
    query: `${TASK}${many(15, (n) => `fragment f${n} on Task { retryOf { ...f${n + 1} } }`)} fragment f15 on Task { id }`,
    says: /levels of fields/,
  },
  '300 levels': { query: `{ ${nested(300, 'a', 'b')} }`, says: /levels of fields/ },
  'a deep introspection': {
    query: `{ __schema { types { ${nested(14, 'ofType', 'name')} } } }`,
    says: /levels of fields/,
  },
  'a circle of introspection': {
    query: `{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }`,
  },
  '31 aliases': {
    query: `{ viewer { ${many(31, (n) => `a${n}: keyName`)} } }`,
    says: /31 aliases; 30 are allowed/,
  },
  'aliases of a costly field': {
    query: `{ ${many(31, (n) => `a${n}: ${NODES} { id } }`)} }`,
    says: /aliases/,
  },
  'aliases that fragments repeat': {
    query: `${TASK}${doubling(6, 'a: id')}`,
    says: /aliases/,
  },
  '31 directives': {
    query: `{ viewer { ${many(31, () => 'keyName @include(if: true)')} } }`,
    says: /31 directives; 30 are allowed/,
  },
  'directives on one field': {
    query: `{ viewer { keyName ${many(200, () => '@skip(if: false)')} } }`,
    says: /directives/,
  },
  'unknown directives': { query: `{ viewer { keyName ${many(500, () => '@a')} } }`, says: /directives/ },
  'directives on a query': {
    query: `query ${many(40, () => '@a')} { viewer { keyName } }`,
    says: /directives/,
  },
  'directives on spreads that fragments repeat': {
    query: `${TASK}${doubling(8, 'id', (name) => `...${name} @include(if: true)`)}`,
    says: /directives/,
  },
  '21 fields at the top': {
    query: `{ ${many(21, () => 'models { name }')} }`,
    says: /21 fields at its top; 20/,
  },
  'fields at the top through fragments': {
    query: `{ ${many(7, () => '...q')} } fragment q on Query { models { name } models { name } models { name } }`,
    says: /fields at its top/,
  },
  'fragments that double each other, 20 times': {
    query: TASK + doubling(20, 'id'),
    says: /more than a million fields; 10000/,
  },
  'fragments that double each other, 150 times': { query: TASK + doubling(150, 'id'), says: /fields/ },
  'inline fragments that double each other': {
    query: TASK + doubling(18, 'id', (name) => `... on Task { ...${name} }`),
    says: /fields/,
  },
  'a fragment that spreads itself': { query: `${TASK} fragment f0 on Task { id ...f0 }` },
  'a circle of fragments': {
    query: `${TASK}${many(40, (n) => `fragment f${n} on Task { id ...f${(n + 1) % 40} }`)}`,
  },
  'a circle of fragments through fields': {
    query: `${TASK} fragment f0 on Task { retryOf { ...f1 } } fragment f1 on Task { retryOf { ...f0 } }`,
  },
  'conflicts to be found among thousands of pairs': {
    query: `{ viewer { ${many(900, () => 'keyName')} ${many(29, (n) => `keyName: keyId a${n}: keyId`)} } }`,
    says: /aliases/,
  },
  'unknown fields by the hundred': { query: `{ viewer { ${many(900, (n) => `field${n}`)} } }` },
  'pages within pages': {
    query: `{ ${NODES} { images { edits(first: 100) { nodes { id } } } } } }`,
    says: /of cost; 10000 are allowed/,
  },
  'pages within pages by default': {
    query: `{ ${NODES} { events { nodes { id at } } } } }`,
    says: /of cost/,
  },
  'pages by a variable': {
    query: 'query ($n: Int! = 1) { tasks(first: $n) { nodes { events(first: $n) { nodes { id } } } } }',
    variables: { n: 100 },
    says: /of cost/,
  },
  'pages by the default of a variable': {
    query: 'query ($n: Int! = 100) { tasks(first: $n) { nodes { events(first: $n) { nodes { id } } } } }',
    says: /of cost/,
  },
  'pictures of tasks of pictures': {
    query: `{ tasks { nodes { ${many(6, () => 'images { task {')} id ${many(6, () => '} }')} } } }`,
    says: /of cost/,
  },
  'ten paid mutations': {
    query: `mutation { ${many(10, (n) => `a${n}: generateImages(input: { prompt: "p" }) { replayed }`)} }`,
    says: /of cost/,
  },
  'a list of a thousand and one': {
    query: 'query ($ids: [ID!]) { taskEvents(filter: { taskIds: $ids }) { nodes { id } } }',
    variables: { ids: Array.from({ length: 1_001 }, () => 'x') },
    says: /1001 elements in one list; 1000 are allowed/,
  },
  'a list of a thousand and one in the document': {
    query: `{ taskEvents(filter: { taskIds: [${many(1_001, () => '"x"', ',')}] }) { nodes { id } } }`,
    says: /elements in one list/,
  },
  'variables that are deeply nested': {
    query: 'query ($v: ID!) { task(id: $v) { id } }',
    variables: { v: deep },
    says: /levels in its variables; 32/,
  },
  'introspection thirty times over': {
    query: `{ ${many(30, (n) => `a${n}: __schema { types { name } }`)} }`,
    says: /at its top/,
  },
};

/** What tools ask a server for; it must pass. */
export const INTROSPECTION_QUERY = getIntrospectionQuery();
