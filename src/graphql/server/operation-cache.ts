import { createHash } from 'node:crypto';
import {
  type DocumentNode,
  getOperationAST,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  NoSchemaIntrospectionCustomRule,
  type OperationDefinitionNode,
  OperationTypeNode,
  parse,
  specifiedRules,
  validate,
  visit,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { AppError, QueryTooComplex, RateLimited } from '../../core/errors.js';
import { type CostFunction, costOfOperation } from '../limits/query-cost.js';
import {
  assertWithinLimit,
  checkDocumentLimits,
  checkVariableLimits,
  type QueryLimits,
} from '../limits/query-limits.js';

/** Limit for all cached documents together. A token takes about half a kilobyte, and a frontend has tens of documents. */
const MAX_CACHED_TOKENS = 100_000;
/** A document with longer text, because of comments or strings, is parsed again for every request. */
const MAX_CACHED_TEXT_LENGTH = 64 * 1024;
/** For each error graphql-js searches all names of the schema for suggestions, which takes time. */
const MAX_VALIDATION_ERRORS = 20;

/** An operation as a client sent it. */
export interface OperationRequest {
  query: string;
  operationName?: string | null;
  variables?: Record<string, unknown> | null;
}

/** Rules for documents, the same on every transport. */
export interface DocumentPolicy {
  limits: QueryLimits;
  introspection: boolean;
}

/** A valid document and the operation selected in it. */
export interface PreparedOperation {
  document: DocumentNode;
  type: OperationTypeNode;
  cost: number;
  /** Variable that is used only as `after` of the subscribed field. Null if there is none. */
  afterVariable: string | null;
}

export type PrepareResult = { errors: readonly GraphQLError[] } | PreparedOperation;

/** A valid document, with what is known about each operation that was requested so far. */
interface ValidatedDocument {
  document: DocumentNode;
  hash: string;
  operations: Map<OperationDefinitionNode, { costOf: CostFunction; afterVariable: string | null }>;
}

/** Parses and validates each document once. Checks that depend on variables run for every request. */
export class OperationCache {
  private readonly documentsByHash = new Map<string, DocumentNode>();
  private readonly documents = new LRUCache<string, ValidatedDocument>({
    maxSize: MAX_CACHED_TOKENS,
    sizeCalculation: ({ document }) => Math.max(1, document.tokenCount ?? 1),
    dispose: ({ hash }) => this.documentsByHash.delete(hash),
  });

  constructor(
    private readonly schema: GraphQLSchema,
    readonly policy: DocumentPolicy,
  ) {}

  /** Prepares an operation. An invalid document gives errors with the same codes on every transport, and is not cached. */
  prepare({ query, operationName, variables }: OperationRequest): PrepareResult {
    const validated = this.documents.get(query) ?? this.parseAndValidate(query);
    if ('errors' in validated) return validated;
    const { document, operations } = validated;
    const operation = getOperationAST(document, operationName);
    if (!operation) {
      const message = 'No operation selected. Set `operationName` to one of the operations in the document.';
      return {
        errors: [new GraphQLError(message, { extensions: { code: 'OPERATION_RESOLUTION_FAILURE' } })],
      };
    }
    let details = operations.get(operation);
    if (!details) {
      const afterVariable = afterVariableOf(document, operation);
      details = { costOf: costOfOperation(this.schema, document, operation), afterVariable };
      operations.set(operation, details);
    }
    const { costOf, afterVariable } = details;
    try {
      checkVariableLimits(variables, this.policy.limits);
      const cost = costOf(variables ?? {});
      assertWithinLimit(this.policy.limits.cost, cost, 'cost points');
      return { document, type: operation.operation, cost, afterVariable };
    } catch (error) {
      return { errors: [toGraphqlError(error)] };
    }
  }

  /** Finds a cached document by the hexadecimal SHA-256 of its text. */
  findByTextHash(hash: string): DocumentNode | undefined {
    return this.documentsByHash.get(hash);
  }

  private parseAndValidate(query: string): ValidatedDocument | { errors: readonly GraphQLError[] } {
    const { limits, introspection } = this.policy;
    try {
      const document = parse(query, { maxTokens: limits.tokens });
      checkDocumentLimits(document, limits);
      const rules = introspection ? specifiedRules : [...specifiedRules, NoSchemaIntrospectionCustomRule];
      const errors = validate(this.schema, document, rules, { maxErrors: MAX_VALIDATION_ERRORS });
      if (errors.length > 0)
        return { errors: withErrorCode(errors, 'GRAPHQL_VALIDATION_FAILED', introspection) };
      return this.cache(query, document);
    } catch (error) {
      if (error instanceof GraphQLError && !/tokens\. Parsing aborted/.test(error.message)) {
        return { errors: withErrorCode([error], 'GRAPHQL_PARSE_FAILED', true) };
      }
      return { errors: [toGraphqlError(toQueryTooComplex(error, limits))] };
    }
  }

  private cache(query: string, document: DocumentNode): ValidatedDocument {
    const hash = createHash('sha256').update(query).digest('hex');
    const validated = { document, hash, operations: new Map() };
    if (query.length <= MAX_CACHED_TEXT_LENGTH) {
      this.documents.set(query, validated);
      this.documentsByHash.set(hash, document);
    }
    return validated;
  }
}

/** Converts an aborted parse. The parser is recursive, so that deep nesting can overflow the stack below the token limit. */
function toQueryTooComplex(error: unknown, { tokens }: QueryLimits): unknown {
  if (error instanceof GraphQLError) return new QueryTooComplex(`more than ${tokens} tokens (the limit)`);
  return error instanceof RangeError ? new QueryTooComplex('too many levels of nesting') : error;
}

/** Converts an AppError to a GraphQLError with the HTTP status for Apollo. Rethrows anything else. */
export function toGraphqlError(error: unknown): GraphQLError {
  if (error instanceof GraphQLError) return error;
  if (!(error instanceof AppError)) throw error;
  const { message, code, httpStatus: status } = error;
  if (!(error instanceof RateLimited))
    return new GraphQLError(message, { extensions: { code, http: { status } } });
  const headers = new Map([['retry-after', String(error.retryAfterSeconds)]]);
  const { retryAfterMs } = error;
  return new GraphQLError(message, { extensions: { code, retryAfterMs, http: { status, headers } } });
}

function afterVariableOf(document: DocumentNode, operation: OperationDefinitionNode): string | null {
  if (operation.operation !== OperationTypeNode.SUBSCRIPTION) return null;
  const [field] = operation.selectionSet.selections;
  if (field?.kind !== Kind.FIELD) return null;
  const value = field.arguments?.find(({ name }) => name.value === 'after')?.value;
  if (value?.kind !== Kind.VARIABLE) return null;
  const name = value.name.value;
  let uses = 0;
  visit(document, {
    VariableDefinition: () => false,
    Variable: (node) => {
      if (node.name.value === name) uses += 1;
    },
  });
  return uses === 1 ? name : null;
}

/** Suggestions reveal names of the schema, so they are removed when introspection is off. */
function withErrorCode(
  errors: readonly GraphQLError[],
  code: string,
  keepSuggestions: boolean,
): GraphQLError[] {
  return errors.map(({ message, nodes, source, positions }) => {
    const shownMessage = keepSuggestions ? message : message.replace(/ Did you mean .*\?$/s, '');
    return new GraphQLError(shownMessage, { nodes, source, positions, extensions: { code } });
  });
}
