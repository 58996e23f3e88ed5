import { createHash } from 'node:crypto';
import fc from 'fast-check';

/** An HTTP request for `/graphql`. */
export interface Envelope {
  method: 'GET' | 'POST';
  /** Query string with its question mark, or empty. */
  search: string;
  /** JSON text. Empty for GET. */
  body: string;
}

export const sha256Of = (text: string) => createHash('sha256').update(text).digest('hex');

/** JSON texts that a client can put in place of a string, an object or a number. */
const OTHER_VALUES = ['null', 'false', 'true', '0', '-1', '1.5', '""', '" "', '[]', '{}', '[[]]', '"null"'];

/** Names that a reader could take for ours: full width, Cyrillic е, a dotless i, invisible characters, accents, another case. */
const LOOKALIKE_NAMES = [
  ...[
    '\uFF51uery',
    'qu\u0435ry',
    'var\u0131ables',
    'query\u200B',
    '\uFEFFquery',
    'que\u0301ry',
    'que\u00ADry',
  ],
  ...['Query', 'QUERY', 'Extensions', 'ext\u0435nsions', 'query\u0000', ' query', 'query '],
];

/** A JSON object from its members, which may repeat. Letters of the names may be written as escapes, which mean the same. */
const objectText = (members: fc.Arbitrary<[string, string]>, maxLength: number) =>
  fc
    .array(fc.tuple(members, fc.boolean()), { maxLength })
    .map(
      (all) =>
        `{${all.map(([[name, value], isEscaped]) => `${nameText(name, { isEscaped })}:${value}`).join(',')}}`,
    );

function nameText(name: string, { isEscaped }: { isEscaped: boolean }): string {
  const text = JSON.stringify(name);
  return isEscaped
    ? text.replace(/[a-z]/, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
    : text;
}

/**
 * Requests that any JSON parser accepts, with fields of every type: the documents, their hashes, values of other types,
 * repeated and escaped names, lists, and the names that JavaScript objects inherit.
 */
export function hostileEnvelopes(documents: readonly string[], variables: readonly object[]) {
  const other = fc.constantFrom(...OTHER_VALUES);
  const document = fc.constantFrom(...documents);
  const query = fc.oneof(
    document.map((text) => JSON.stringify(text)),
    document.map((text) => JSON.stringify([text])),
    fc.constant('{"kind":"Document","definitions":[]}'),
    other,
  );
  const hash = document.map(sha256Of);
  const sha256Hash = fc.oneof(
    hash.map((text) => JSON.stringify(text)),
    hash.map((text) => JSON.stringify([text])),
    hash.map((text) => JSON.stringify([[text]])),
    hash.map((text) => JSON.stringify({ toString: text })),
    hash.map((text) => JSON.stringify(text.toUpperCase())),
    other,
  );
  const persistedQueryMember = fc.oneof(
    fc.constant<[string, string]>(['version', '1']),
    fc.tuple(fc.constant('sha256Hash'), sha256Hash),
    fc.tuple(fc.constantFrom('version', '__proto__'), other),
  );
  const persistedQuery = fc.oneof(
    { weight: 3, arbitrary: hash.map((text) => JSON.stringify({ version: 1, sha256Hash: text })) },
    objectText(persistedQueryMember, 3),
    other,
  );
  const extensions = fc.oneof(
    { weight: 3, arbitrary: persistedQuery.map((text) => `{"persistedQuery":${text}}`) },
    persistedQuery.map((text) => `[{"persistedQuery":${text}}]`),
    persistedQuery.map((text) => `{"__proto__":{"persistedQuery":${text}}}`),
    objectText(fc.tuple(fc.constantFrom('persistedQuery', '__proto__', 'other'), persistedQuery), 3),
    other,
  );
  const value = fc.constantFrom(...variables.map((object) => JSON.stringify(object)));
  const variablesText = fc.oneof(
    { weight: 3, arbitrary: value },
    value.map((text) => `[${text}]`),
    value.map((text) => JSON.stringify(text)),
    value.map((text) => `{"__proto__":${text}}`),
    other,
  );
  const names = documents.flatMap((text) => /^\w+ (\w+)/.exec(text)?.[1] ?? []);
  const operationName = fc.oneof(
    fc.constantFrom(...names).map((name) => JSON.stringify(name)),
    other,
  );
  const member = fc.oneof(
    { weight: 2, arbitrary: fc.tuple(fc.constant('query'), query) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('extensions'), extensions) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('variables'), variablesText) },
    fc.tuple(fc.constant('operationName'), operationName),
    fc.tuple(
      fc.constantFrom('__proto__', 'constructor', 'other', ...LOOKALIKE_NAMES),
      fc.oneof(query, extensions, variablesText),
    ),
  );
  // Most mixtures of arbitrary members are refused for one of them, so half of the operations have one oddity.
  const oddPersistedQuery = sha256Hash.map((text) => `{"persistedQuery":{"version":1,"sha256Hash":${text}}}`);
  const operation = fc.oneof(
    objectText(member, 5),
    fc
      .tuple(fc.oneof(query, fc.constant(null)), oddPersistedQuery, value)
      .map(
        ([queryText, extensionsText, variables]) =>
          `{${queryText === null ? '' : `"query":${queryText},`}"variables":${variables},"extensions":${extensionsText}}`,
      ),
  );
  const body = fc.oneof(
    { weight: 4, arbitrary: operation },
    fc.array(operation, { maxLength: 4 }).map((all) => `[${all.join(',')}]`),
    other,
  );
  const parameter = fc.oneof(
    fc.tuple(fc.constant('query'), fc.oneof(document, fc.constantFrom('', ' ', 'null', 'false'))),
    fc.tuple(fc.constant('extensions'), fc.oneof(extensions, fc.constantFrom('', '{'))),
    fc.tuple(fc.constant('variables'), fc.oneof(variablesText, fc.constantFrom('', '{'))),
    fc.tuple(
      fc.constantFrom('operationName', '__proto__', ...LOOKALIKE_NAMES),
      fc.oneof(fc.constantFrom(...names), document, other),
    ),
  );
  const search = fc
    .array(parameter, { maxLength: 5 })
    .map((parameters) => `?${new URLSearchParams(parameters).toString()}`);
  return fc.oneof(
    { weight: 2, arbitrary: body.map((text): Envelope => ({ method: 'POST', search: '', body: text })) },
    search.map((text): Envelope => ({ method: 'GET', search: text, body: '' })),
    fc.tuple(search, body).map(([text, json]): Envelope => ({ method: 'POST', search: text, body: json })),
  );
}
