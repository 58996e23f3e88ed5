import { hash } from 'node:crypto';
import { type ApolloServerPlugin, type GraphQLResponse, HeaderMap } from '@apollo/server';
import {
  type DocumentNode,
  execute,
  type FormattedExecutionResult,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { type WorkOwner } from '../../core/limits/work-owner.js';
import { type PublicError, toPublicError } from '../../core/public-error.js';
import { type Context } from './context.js';
import { type FormatError, toFormattedError } from './format-error.js';
import { FirstOfEqual } from '../limits/first-of-equal.js';
import { LoopShare } from '../../core/limits/loop-share.js';
import { WaitingRequests } from '../../core/limits/waiting-requests.js';

/** Limit for all kept results together. The whole schema has 150 kB. */
const MAX_KEPT_CHARACTERS = 2 * 1024 * 1024;
/** Introspection may take this part of the event loop, so that it delays one other request in a hundred at most. */
const SHARE = 0.01;
/** The few different documents that the tools of a developer send. */
const BURST_MS = 250;
/** The last one waits for about 15 s. */
const MAX_WAITING = 4;
/** The part of the event loop for operations with other fields beside introspection, whose own time is not known. */
const MIXED_SHARE = 0.1;
/** What reading the whole schema takes at most. */
const ASSUMED_MS = 30;
/** What sending a known result takes at most. */
const KNOWN_RESULT_MS = 3;
/** Tens of known results. */
const KNOWN_RESULTS_BURST_MS = 100;
/** Known results of a workspace, and of all. */
const KNOWN_RESULTS_SHARE = 0.1;
const KNOWN_RESULTS_SHARE_IN_ALL = 0.3;
const KNOWN_RESULTS_BURST_IN_ALL_MS = 300;
const BUSY =
  'There are too many introspection queries that wait. Try again later, or use the file schema.graphql.';

/** How an operation uses introspection: not at all, for each of its fields, or beside other fields. */
type IntrospectionUse = 'none' | 'all' | 'some';

/** An operation that is valid and whose limits were checked. */
interface IntrospectionOperation {
  document: DocumentNode;
  /** Apollo has none if the document has none with the name of the request, which it then reports itself. */
  operation: OperationDefinitionNode | undefined;
  query: string;
  operationName?: string | null | undefined;
  variables?: Record<string, unknown> | null | undefined;
  /** What the whole request takes in memory: see OperationCache. */
  requestBytes: number;
}

/**
 * Takes the place of `data` in a result whose JSON is known. The result of an introspection query is large, and always the
 * same. So it is computed once, and kept as text.
 */
class KnownData {
  [field: string]: unknown;

  constructor(readonly resultText: string) {}
}

/** The JSON of a result. */
export function serializeResult(result: FormattedExecutionResult): string {
  const { data } = result;
  return data instanceof KnownData ? data.resultText : JSON.stringify(result);
}

/**
 * Answers introspection queries. Reading the whole schema takes tens of milliseconds, in which nothing else is served, so all of
 * them get a part of the event loop. So do the known results of each workspace, because they are large.
 */
export class Introspection {
  private readonly known = new LRUCache<string, KnownData>({
    maxSize: MAX_KEPT_CHARACTERS,
    sizeCalculation: ({ resultText }) => resultText.length,
  });
  private readonly uses = new WeakMap<OperationDefinitionNode, IntrospectionUse>();
  private readonly equal = new FirstOfEqual();
  private readonly turns = new LoopShare({
    share: SHARE,
    burstMs: BURST_MS,
    shareInAll: SHARE,
    burstInAllMs: BURST_MS,
    busyMessage: BUSY,
    maxWaitingPerWorkspace: MAX_WAITING,
  });
  private readonly mixedTurns = new LoopShare({
    share: MIXED_SHARE,
    burstMs: 0,
    shareInAll: MIXED_SHARE,
    burstInAllMs: 0,
    busyMessage: BUSY,
  });
  private readonly knownResultTurns = new LoopShare({
    share: KNOWN_RESULTS_SHARE,
    burstMs: KNOWN_RESULTS_BURST_MS,
    shareInAll: KNOWN_RESULTS_SHARE_IN_ALL,
    burstInAllMs: KNOWN_RESULTS_BURST_IN_ALL_MS,
    busyMessage: BUSY,
  });

  constructor(
    private readonly schema: GraphQLSchema,
    private readonly formatError: FormatError,
    private readonly waiting = new WaitingRequests(),
  ) {}

  /**
   * Returns the result of an operation that only introspects. For others it returns null, and so it does for one with invalid
   * variables: they must be executed. Throws RateLimited when too many wait.
   */
  async resultOf(
    request: IntrospectionOperation,
    owner: WorkOwner,
  ): Promise<FormattedExecutionResult | null> {
    const use = this.useOf(request);
    if (use === 'none') return null;
    return this.waiting.hold(owner, request.requestBytes, () =>
      use === 'some' ? this.mixedTurns.run(owner, () => null, ASSUMED_MS) : this.resultInTurn(request, owner),
    );
  }

  private async resultInTurn(
    { document, query, operationName, variables }: IntrospectionOperation,
    owner: WorkOwner,
  ): Promise<FormattedExecutionResult | null> {
    const key = hash('sha256', JSON.stringify([query, operationName ?? null, variables ?? null]));
    const equalKey = `${owner.workspaceId} ${key}`;
    if (!this.known.has(key) && this.equal.isWorkingOn(equalKey))
      await this.equal.follow(equalKey, owner.workspaceId);
    const known = this.known.get(key);
    if (known) return this.knownResultTurns.run(owner, () => ({ data: known }), KNOWN_RESULT_MS);
    return this.equal.work(equalKey, () =>
      this.turns.run(owner, () => this.compute({ document, operationName, variables }, key)),
    );
  }

  private compute(
    {
      document,
      operationName,
      variables,
    }: Pick<IntrospectionOperation, 'document' | 'operationName' | 'variables'>,
    key: string,
  ): FormattedExecutionResult | null {
    // Another workspace may have asked meanwhile.
    const known = this.known.get(key);
    if (known) return { data: known };
    const result = execute({
      schema: this.schema,
      document,
      operationName: operationName || null,
      variableValues: variables,
    });
    // Without data it was not executed.
    if (result instanceof Promise || result.data === undefined) return null;
    if (result.errors) {
      const errors = result.errors.map((error) => this.formatError(error.toJSON(), error));
      return { ...result, errors };
    }
    const data = new KnownData(JSON.stringify(result));
    this.known.set(key, data);
    return { data };
  }

  private useOf({ document, operation }: IntrospectionOperation): IntrospectionUse {
    if (!operation) return 'none';
    const known = this.uses.get(operation);
    if (known) return known;
    const use = introspectionUseOf(document, operation);
    this.uses.set(operation, use);
    return use;
  }
}

/** Answers the introspection queries that Apollo gets. It executes all other operations itself. */
export function introspectionPlugin(introspection: Introspection): ApolloServerPlugin<Context> {
  return {
    requestDidStart: () =>
      Promise.resolve({
        responseForOperation: async ({ document, operation, source: query, request, contextValue }) => {
          const { operationName, variables } = request;
          const { caller, requestBytes } = contextValue;
          try {
            const result = await introspection.resultOf(
              { document, operation, query, operationName, variables, requestBytes },
              caller,
            );
            return result && toResponse(result);
          } catch (error) {
            const publicError = toPublicError(error);
            return toResponse({ errors: [toFormattedError(publicError)] }, publicError);
          }
        },
      }),
  };
}

function toResponse(
  singleResult: FormattedExecutionResult,
  { status, headers = {} }: Partial<Pick<PublicError, 'status' | 'headers'>> = {},
): GraphQLResponse {
  const http = { headers: new HeaderMap(Object.entries(headers)), ...(status && { status }) };
  return { http, body: { kind: 'single', singleResult } };
}

function introspectionUseOf(document: DocumentNode, operation: OperationDefinitionNode): IntrospectionUse {
  if (!readsSchema(document, operation)) return 'none';
  return rootFieldNames(document, operation.selectionSet).every((name) => name.startsWith('__'))
    ? 'all'
    : 'some';
}

/** Whether the operation itself, or a fragment that it spreads, introspects. */
function readsSchema(document: DocumentNode, operation: OperationDefinitionNode): boolean {
  const seen = new Set<string>();
  const inSelections = ({ selections }: SelectionSetNode): boolean =>
    selections.some((selection) => {
      if (selection.kind === Kind.FRAGMENT_SPREAD) {
        const name = selection.name.value;
        if (seen.has(name)) return false;
        seen.add(name);
        const fragment = findFragment(document, name);
        return fragment !== undefined && inSelections(fragment.selectionSet);
      }
      const isUsed = selection.kind === Kind.FIELD && /^__(schema|type)$/.test(selection.name.value);
      return isUsed || (selection.selectionSet !== undefined && inSelections(selection.selectionSet));
    });
  return inSelections(operation.selectionSet);
}

function findFragment(document: DocumentNode, name: string): FragmentDefinitionNode | undefined {
  return document.definitions.find(
    (definition): definition is FragmentDefinitionNode =>
      definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === name,
  );
}

function rootFieldNames(document: DocumentNode, { selections }: SelectionSetNode): string[] {
  return selections.flatMap((selection) => {
    if (selection.kind === Kind.FIELD) return [selection.name.value];
    if (selection.kind === Kind.INLINE_FRAGMENT) return rootFieldNames(document, selection.selectionSet);
    const fragment = findFragment(document, selection.name.value);
    return fragment ? rootFieldNames(document, fragment.selectionSet) : [];
  });
}
