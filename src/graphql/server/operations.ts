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
import { type CostOf, costOfOperation } from '../limits/query-cost.js';
import { checkDocument, checkVariables, type QueryLimits, refuseAbove } from '../limits/query-limits.js';

/** Of all documents that are remembered, together; a token takes about half a kilobyte. Frontends have tens of documents. */
const TOKENS_KEPT = 100_000;
/** A text with long comments or strings is parsed anew each time. */
const MAX_TEXT_KEPT = 64 * 1024;
/** Each is looked for by suggestions among all names of the schema. */
const MAX_FAULTS = 20;

/** What a client asks for, as it came. */
export interface OperationRequest {
  query: string;
  operationName?: string | null;
  variables?: Record<string, unknown> | null;
}

/** What every transport allows. */
export interface DocumentRules {
  limits: QueryLimits;
  introspection: boolean;
}

/** A document that was parsed and checked, and the operation in it that was asked for. */
export interface Operation {
  document: DocumentNode;
  type: OperationTypeNode;
  cost: number;
  /** The variable that serves as `after` of the one subscribed field and as nothing else; null where there is none. */
  afterVariable: string | null;
}

export type Prepared = { errors: readonly GraphQLError[] } | Operation;

/** A document, and what has been found out about each of its operations that was asked for. */
interface Checked {
  document: DocumentNode;
  hash: string;
  operations: Map<OperationDefinitionNode, { costOf: CostOf; afterVariable: string | null }>;
}

/** Parses and checks documents, each once; what depends on variables is checked each time. */
export class Operations {
  private readonly byHash = new Map<string, DocumentNode>();
  private readonly documents = new LRUCache<string, Checked>({
    maxSize: TOKENS_KEPT,
    sizeCalculation: ({ document }) => Math.max(1, document.tokenCount ?? 1),
    dispose: ({ hash }) => this.byHash.delete(hash),
  });

  constructor(
    private readonly schema: GraphQLSchema,
    readonly rules: DocumentRules,
  ) {}

  /** A document that is wrong gives errors with the codes that HTTP gives, and is not remembered. */
  prepare({ query, operationName, variables }: OperationRequest): Prepared {
    const checked = this.documents.get(query) ?? this.check(query);
    if ('errors' in checked) return checked;
    const { document, operations } = checked;
    const operation = getOperationAST(document, operationName);
    if (!operation) {
      const message = 'Say which operation of the document to run, with `operationName`.';
      return {
        errors: [new GraphQLError(message, { extensions: { code: 'OPERATION_RESOLUTION_FAILURE' } })],
      };
    }
    let known = operations.get(operation);
    if (!known) {
      const afterVariable = afterVariableOf(document, operation);
      known = { costOf: costOfOperation(this.schema, document, operation), afterVariable };
      operations.set(operation, known);
    }
    const { costOf, afterVariable } = known;
    try {
      checkVariables(variables, this.rules.limits);
      const cost = costOf(variables ?? {});
      refuseAbove(this.rules.limits.cost, cost, 'of cost');
      return { document, type: operation.operation, cost, afterVariable };
    } catch (error) {
      return { errors: [asGraphqlError(error)] };
    }
  }

  /** A document that was checked and is remembered, by the hex SHA-256 of its text. */
  byTextHash(hash: string): DocumentNode | undefined {
    return this.byHash.get(hash);
  }

  private check(query: string): Checked | { errors: readonly GraphQLError[] } {
    const { limits, introspection } = this.rules;
    try {
      const document = parse(query, { maxTokens: limits.tokens });
      checkDocument(document, limits);
      const rules = introspection ? specifiedRules : [...specifiedRules, NoSchemaIntrospectionCustomRule];
      const errors = validate(this.schema, document, rules, { maxErrors: MAX_FAULTS });
      if (errors.length > 0) return { errors: withCode(errors, 'GRAPHQL_VALIDATION_FAILED', introspection) };
      return this.remember(query, document);
    } catch (error) {
      if (error instanceof GraphQLError && !/tokens\. Parsing aborted/.test(error.message)) {
        return { errors: withCode([error], 'GRAPHQL_PARSE_FAILED', true) };
      }
      return { errors: [asGraphqlError(tooComplex(error, limits))] };
    }
  }

  private remember(query: string, document: DocumentNode): Checked {
    const hash = createHash('sha256').update(query).digest('hex');
    const checked = { document, hash, operations: new Map() };
    if (query.length <= MAX_TEXT_KEPT) {
      this.documents.set(query, checked);
      this.byHash.set(hash, document);
    }
    return checked;
  }
}

/** What parsing gave up on, as ours. The parser calls itself for each level, and the stack can end before the tokens do. */
function tooComplex(error: unknown, { tokens }: QueryLimits): unknown {
  if (error instanceof GraphQLError)
    return new QueryTooComplex(`more than ${tokens} tokens, which are allowed`);
  return error instanceof RangeError ? new QueryTooComplex('levels within levels without end') : error;
}

/** Ours, as graphql's, with the HTTP status that Apollo answers with; anything else is thrown on. */
export function asGraphqlError(error: unknown): GraphQLError {
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

/** Suggestions tell names of the schema: not where introspection is off. */
function withCode(errors: readonly GraphQLError[], code: string, suggest: boolean): GraphQLError[] {
  return errors.map(({ message, nodes, source, positions }) => {
    const text = suggest ? message : message.replace(/ Did you mean .*\?$/s, '');
    return new GraphQLError(text, { nodes, source, positions, extensions: { code } });
  });
}
