import { parseCallerJson } from '../../core/primitives/encoding/caller-json.js';
import { parseQueryString, singleParameter } from '../../core/primitives/encoding/query-string.js';
import { BadRequest } from '../../core/errors.js';
import { type PersistedQueries } from './apollo-caches.js';

/** An HTTP request whose body is parsed JSON. */
export interface UnreadRequest {
  method: string;
  /** Query string with its question mark, or empty. */
  search: string;
  body: unknown;
}

/** An operation of an HTTP request. */
export interface HttpOperation {
  /** The document that runs. Undefined if the request has only a hash that this instance does not know: then nothing runs. */
  query?: string;
  operationName?: string;
  variables?: Record<string, unknown>;
  persistedQuery?: { version: 1; sha256Hash: string };
}

/** A request with what was read from it. Nothing else of it may reach Apollo. */
export interface ReadRequest {
  operations: HttpOperation[];
  /** The same operations for Apollo. */
  search: string;
  body: unknown;
}

/**
 * Decides which documents an HTTP request runs. The limits are checked on its result, and Apollo gets nothing but its result,
 * so that there are no two readings of one request: Apollo finds no persisted query by itself (see PersistedQueries).
 */
export class RequestReader {
  constructor(
    private readonly persistedQueries: PersistedQueries,
    private readonly maxOperationsPerRequest: number,
  ) {}

  /** Throws BadRequest if a field has the wrong type or occurs twice. Methods other than GET and POST run nothing. */
  read({ method, search, body }: UnreadRequest): ReadRequest {
    if (method === 'GET') return this.readSearch(search);
    if (method !== 'POST') return { operations: [], search: '', body: undefined };
    if (!Array.isArray(body)) {
      const operation = this.readFields(body);
      return { operations: [operation], search: '', body: toFields(operation) };
    }
    const max = this.maxOperationsPerRequest;
    if (max === 1)
      throw new BadRequest('This request is a list of operations. Send each operation in its own request.');
    if (body.length > max) {
      throw new BadRequest(
        `This request has ${body.length} operations (limit: ${max}). Split it into several requests.`,
      );
    }
    const operations = body.map((fields: unknown) => this.readFields(fields));
    return { operations, search: '', body: operations.map(toFields) };
  }

  private readSearch(search: string): ReadRequest {
    const parameters = parseQueryString(search);
    const textOf = (name: string) => singleParameter(parameters, name);
    const variables = textOf('variables');
    const operation = this.readFields({
      query: textOf('query'),
      operationName: textOf('operationName'),
      variables: parseJson('variables', variables),
      extensions: parseJson('extensions', textOf('extensions')),
    });
    const { query, operationName, extensions } = toFields(operation);
    const fields = {
      query,
      operationName,
      // The text, because deeply nested variables, which the limits reject, overflow the stack of JSON.stringify.
      variables: operation.variables && variables,
      extensions: extensions && JSON.stringify(extensions),
    };
    const present = Object.entries(fields).flatMap(([name, text]): [string, string][] =>
      text === undefined ? [] : [[name, text]],
    );
    return { operations: [operation], search: `?${new URLSearchParams(present).toString()}`, body: {} };
  }

  private readFields(fields: unknown): HttpOperation {
    if (!isRecord(fields)) throw new BadRequest('An operation is a JSON object with the field `query`.');
    const query = optional(fields, 'query', isString);
    // Clients without a name send an empty one.
    const operationName = optional(fields, 'operationName', isString) || undefined;
    const variables = optional(fields, 'variables', isRecord);
    const extensions = optional(fields, 'extensions', isRecord);
    const persistedQuery = extensions && optional(extensions, 'persistedQuery', isPersistedQuery);
    if (query === '' || (query === undefined && !persistedQuery)) {
      throw new BadRequest(
        '`query` is missing. POST the GraphQL document as `query` in a JSON object, with the header `content-type: application/json`.',
      );
    }
    const text = query ?? this.persistedQueries.findText(persistedQuery?.sha256Hash ?? '');
    return {
      ...(text !== undefined && { query: text }),
      ...(operationName !== undefined && { operationName }),
      ...(variables && { variables }),
      ...(persistedQuery && { persistedQuery: { version: 1, sha256Hash: persistedQuery.sha256Hash } }),
    };
  }
}

/** The fields of the GraphQL over HTTP specification. Apollo rejects fields whose value is undefined. */
function toFields({ persistedQuery, ...fields }: HttpOperation) {
  return { ...fields, ...(persistedQuery && { extensions: { persistedQuery } }) };
}

const TYPE_NAMES = {
  query: 'a string',
  operationName: 'a string',
  variables: 'an object',
  extensions: 'an object',
  persistedQuery: 'an object with `version` 1 and the string `sha256Hash`',
} as const;

/** The value of a field, or undefined if it is absent or null. Throws BadRequest if it has another type. */
function optional<Value>(
  fields: Readonly<Record<string, unknown>>,
  name: keyof typeof TYPE_NAMES,
  isValid: (value: unknown) => value is Value,
): Value | undefined {
  // JSON.parse makes `__proto__` an own field, which changes no other field.
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (value === undefined || value === null) return undefined;
  if (!isValid(value))
    throw new BadRequest(`\`${name}\` is not ${TYPE_NAMES[name]}. Correct it, or leave it out.`);
  return value;
}

function isString(value: unknown): value is string {
  return typeof value === 'string';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isPersistedQuery(value: unknown): value is { version: 1; sha256Hash: string } {
  return isRecord(value) && value['version'] === 1 && isString(value['sha256Hash']);
}

/** An empty parameter is absent. */
function parseJson(name: string, text: string | undefined): unknown {
  return text ? parseCallerJson(text, `The parameter \`${name}\``) : undefined;
}
