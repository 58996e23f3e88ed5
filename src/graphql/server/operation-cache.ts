import { hash } from 'node:crypto';
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
import { type WorkOwner } from '../../core/limits/work-owner.js';
import { QueryTooComplex } from '../../core/errors.js';
import { FirstOfEqual } from '../limits/first-of-equal.js';
import { type CostFunction, costOfOperation } from '../limits/query-cost.js';
import {
  assertWithinLimit,
  bytesOfText,
  checkDocumentLimits,
  checkTextLimits,
  measureVariables,
  type QueryLimits,
} from '../limits/query-limits.js';
import { LoopShare } from '../../core/limits/loop-share.js';
import { WaitingRequests } from '../../core/limits/waiting-requests.js';

/** Limit for all cached documents together, about 12 MB. A frontend has tens of documents, with some hundred tokens each. */
const MAX_CACHED_TOKENS = 25_000;
/** A document with longer text, because of comments or strings, is parsed again for every request. */
const MAX_CACHED_TEXT_LENGTH = 64 * 1024;
/** For each error graphql-js searches all names of the schema for suggestions, which takes time. */
const MAX_VALIDATION_ERRORS = 20;
/** Parts of messages of graphql-js. test/contract/apollo-internals.test.ts fails if a new version words them differently. */
const TOKEN_LIMIT_MESSAGE = /tokens\. Parsing aborted/;
/**
 * Documents that are not known may take this part of the event loop, for each workspace. Apollo parses an invalid one again,
 * and then it is twice as much.
 */
const NEW_DOCUMENTS_SHARE = 0.1;
/** An application sends its tens of documents when it starts. */
const NEW_DOCUMENTS_BURST_MS = 250;
/** The same for all workspaces. Most of them send the documents of one application. */
const NEW_DOCUMENTS_SHARE_IN_ALL = 0.5;
const NEW_DOCUMENTS_BURST_IN_ALL_MS = 1_000;
/**
 * The same for documents that introspect, which are large and which tools send. A text that only names the fields in a string waits
 * with them.
 */
const INTROSPECTING = /__(schema|type)\b/;
const NEW_INTROSPECTIONS_SHARE = 0.01;
/** Each takes about 10 ms, and the last one waits for some seconds. */
const MAX_WAITING_INTROSPECTIONS = 4;
/** The part of the cost limit that a subscription may have, because each event has that cost. */
const SUBSCRIPTION_PART = 0.1;
const NEW_DOCUMENTS_BUSY =
  'There are too many different documents that wait to be parsed. Use variables instead of values in the text of the document, so that it stays the same, and try again later.';
const SUGGESTIONS = / Did you mean .*\?$/s;

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
  operation: OperationDefinitionNode;
  type: OperationTypeNode;
  cost: number;
  /** Variable that is used only as `after` of the subscribed field. Null if there is none. */
  afterVariable: string | null;
}

export type PrepareResult = { errors: readonly GraphQLError[] } | PreparedOperation;

/** A valid document, with what is known about each operation that was requested so far. */
interface ValidatedDocument {
  document: DocumentNode;
  operations: Map<OperationDefinitionNode, { costOf: CostFunction; afterVariable: string | null }>;
}

/** Parses and validates each document once. Checks that depend on variables run for every request. */
export class OperationCache {
  /** By the hexadecimal SHA-256 of their text. */
  private readonly documents = new LRUCache<string, ValidatedDocument>({
    maxSize: MAX_CACHED_TOKENS,
    sizeCalculation: ({ document }) => Math.max(1, document.tokenCount ?? 1),
  });
  private readonly turns = new LoopShare({
    share: NEW_DOCUMENTS_SHARE,
    burstMs: NEW_DOCUMENTS_BURST_MS,
    shareInAll: NEW_DOCUMENTS_SHARE_IN_ALL,
    burstInAllMs: NEW_DOCUMENTS_BURST_IN_ALL_MS,
    busyMessage: NEW_DOCUMENTS_BUSY,
  });
  private readonly equal = new FirstOfEqual();
  private readonly introspectionTurns = new LoopShare({
    share: NEW_INTROSPECTIONS_SHARE,
    burstMs: NEW_DOCUMENTS_BURST_MS,
    shareInAll: NEW_INTROSPECTIONS_SHARE,
    burstInAllMs: NEW_DOCUMENTS_BURST_MS,
    busyMessage: NEW_DOCUMENTS_BUSY,
    maxWaitingPerWorkspace: MAX_WAITING_INTROSPECTIONS,
  });

  constructor(
    private readonly schema: GraphQLSchema,
    readonly policy: DocumentPolicy,
    private readonly waiting = new WaitingRequests(),
  ) {}

  /** About the bytes that the operations of a request take in memory. Throws QueryTooComplex if variables are over a limit. */
  measure(operations: readonly Partial<OperationRequest>[]): number {
    const bytesOf = ({ query = '', operationName, variables }: Partial<OperationRequest>) =>
      bytesOfText(query) + bytesOfText(operationName ?? '') + measureVariables(variables, this.policy.limits);
    return operations.reduce((bytes, operation) => bytes + bytesOf(operation), 0);
  }

  /**
   * Prepares an operation of a caller. An invalid document gives errors with the same codes on every transport, and is not cached.
   * Throws QueryTooComplex, and RateLimited when too many documents that are not known wait. `requestBytes`: what `measure`
   * returned, if the operation is not the only one of its request.
   */
  async prepare(
    request: OperationRequest,
    owner: WorkOwner,
    requestBytes = this.measure([request]),
  ): Promise<PrepareResult> {
    const { query } = request;
    const textHash = hash('sha256', query);
    const validated =
      this.documents.get(textHash) ??
      (await this.waiting.hold(owner, requestBytes, () => this.prepareText(query, textHash, owner)));
    return 'errors' in validated ? validated : this.select(validated, request);
  }

  private async prepareText(
    query: string,
    textHash: string,
    owner: WorkOwner,
  ): Promise<ValidatedDocument | { errors: readonly GraphQLError[] }> {
    const { workspaceId } = owner;
    const key = `${workspaceId} ${textHash}`;
    if (query.length <= MAX_CACHED_TEXT_LENGTH && this.equal.isWorkingOn(key))
      await this.equal.follow(key, workspaceId);
    const known = this.documents.get(textHash);
    if (known) return known;
    const turns = INTROSPECTING.test(query) ? this.introspectionTurns : this.turns;
    return this.equal.work(key, () =>
      turns.run(owner, () => this.documents.get(textHash) ?? this.parseAndValidate(query, textHash)),
    );
  }

  /** Selects the operation of a request, and checks its limits. */
  private select(
    validated: ValidatedDocument,
    { operationName, variables }: OperationRequest,
  ): PrepareResult {
    const { document, operations } = validated;
    // Clients without a name send an empty one.
    const operation = getOperationAST(document, operationName || null);
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
    const cost = costOf(variables ?? {});
    const limit = this.policy.limits.cost;
    if (operation.operation === OperationTypeNode.SUBSCRIPTION)
      assertWithinLimit(Math.ceil(limit * SUBSCRIPTION_PART), cost, 'cost points for each event');
    else assertWithinLimit(limit, cost, 'cost points');
    return { document, operation, type: operation.operation, cost, afterVariable };
  }

  /** Finds a cached document by the hexadecimal SHA-256 of its text. */
  findByTextHash(textHash: string): DocumentNode | undefined {
    return this.documents.get(textHash)?.document;
  }

  private parseAndValidate(
    query: string,
    textHash: string,
  ): ValidatedDocument | { errors: readonly GraphQLError[] } {
    const { limits, introspection } = this.policy;
    checkTextLimits(query, limits);
    const document = parseWithinLimit(query, limits.tokens);
    if (document instanceof GraphQLError) return { errors: [withCode(document, 'GRAPHQL_PARSE_FAILED')] };
    checkDocumentLimits(document, limits);
    const rules = introspection ? specifiedRules : [...specifiedRules, NoSchemaIntrospectionCustomRule];
    const errors = validate(this.schema, document, rules, { maxErrors: MAX_VALIDATION_ERRORS });
    if (errors.length > 0) {
      const shownErrors = introspection ? errors : errors.map(withoutSuggestions);
      return { errors: shownErrors.map((error) => withCode(error, 'GRAPHQL_VALIDATION_FAILED')) };
    }
    const validated = { document, operations: new Map() };
    if (query.length <= MAX_CACHED_TEXT_LENGTH) this.documents.set(textHash, validated);
    return validated;
  }
}

/** Returns a syntax error. Throws QueryTooComplex, because the recursive parser can overflow the stack below the token limit. */
function parseWithinLimit(query: string, maxTokens: number): DocumentNode | GraphQLError {
  try {
    return parse(query, { maxTokens });
  } catch (error) {
    if (error instanceof RangeError) throw new QueryTooComplex('too many levels of nesting');
    if (!(error instanceof GraphQLError)) throw error;
    if (!TOKEN_LIMIT_MESSAGE.test(error.message)) return error;
    throw new QueryTooComplex(`more than ${maxTokens} tokens (the limit)`);
  }
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

/** Suggestions reveal names of the schema. */
function withoutSuggestions({ message, nodes, source, positions }: GraphQLError): GraphQLError {
  return new GraphQLError(message.replace(SUGGESTIONS, ''), { nodes, source, positions });
}

function withCode({ message, nodes, source, positions }: GraphQLError, code: string): GraphQLError {
  return new GraphQLError(message, { nodes, source, positions, extensions: { code } });
}
