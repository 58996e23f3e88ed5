import {
  type DocumentNode,
  getOperationAST,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
  parse,
  validate,
  visit,
} from 'graphql';
import { LRUCache } from 'lru-cache';

/** Frontends have tens of documents; a document has at most 64 kB. */
const DOCUMENTS_KEPT = 500;

/** What a client asks for, as it came. */
export interface OperationRequest {
  query: string;
  operationName?: string | null;
  variables?: Record<string, unknown> | null;
}

/** A document that was parsed and checked, and the operation in it that was asked for. */
export interface Operation {
  document: DocumentNode;
  type: OperationTypeNode;
  /** The variable that serves as `after` of the one subscribed field and as nothing else; null where there is none. */
  afterVariable: string | null;
}

export type Prepared = { errors: readonly GraphQLError[] } | Operation;

/** Parses and checks documents, each once. */
export class Operations {
  private readonly documents = new LRUCache<string, DocumentNode>({ max: DOCUMENTS_KEPT });

  constructor(private readonly schema: GraphQLSchema) {}

  /** A document that is wrong gives errors with the codes that HTTP gives, and is not remembered. */
  prepare({ query, operationName }: OperationRequest): Prepared {
    let document = this.documents.get(query);
    if (!document) {
      const checked = this.check(query);
      if ('errors' in checked) return checked;
      document = checked.document;
      this.documents.set(query, document);
    }
    const operation = getOperationAST(document, operationName);
    if (!operation) {
      const message = 'Say which operation of the document to run, with `operationName`.';
      return {
        errors: [new GraphQLError(message, { extensions: { code: 'OPERATION_RESOLUTION_FAILURE' } })],
      };
    }
    return { document, type: operation.operation, afterVariable: afterVariableOf(document, operation) };
  }

  private check(query: string): { document: DocumentNode } | { errors: readonly GraphQLError[] } {
    try {
      const document = parse(query);
      const errors = validate(this.schema, document);
      return errors.length > 0 ? { errors: withCode(errors, 'GRAPHQL_VALIDATION_FAILED') } : { document };
    } catch (error) {
      if (!(error instanceof GraphQLError)) throw error;
      return { errors: withCode([error], 'GRAPHQL_PARSE_FAILED') };
    }
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

function withCode(errors: readonly GraphQLError[], code: string): GraphQLError[] {
  return errors.map(({ message, nodes, source, positions }) => {
    return new GraphQLError(message, { nodes, source, positions, extensions: { code } });
  });
}
