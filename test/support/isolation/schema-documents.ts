import {
  getNamedType,
  getNullableType,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLSchema,
  isEnumType,
  isInputObjectType,
  isListType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
} from 'graphql';

/** An argument or input field with a scalar type, in one document. */
export interface ScalarArgument {
  /** Where the schema defines it, such as `Query.task(id:)` or `CancelTaskInput.id`. */
  coordinate: string;
  /** Where its value is in the variables. */
  path: string[];
  isList: boolean;
  isRequired: boolean;
  /** Whether it belongs to a field of the result, and not to the root field. */
  isNested: boolean;
}

/** A required argument or input field with an enum type. Every value is tried. */
export interface EnumArgument {
  path: string[];
  values: string[];
}

/** A field of a root type, with a document that selects everything its result offers. */
export interface RootField {
  operation: 'query' | 'mutation' | 'subscription';
  /** Such as `Query.task`. */
  name: string;
  document: string;
  scalarArguments: ScalarArgument[];
  enumArguments: EnumArgument[];
}

/** Levels of a result that are selected. Deeper fields are reached from another root field. */
const MAX_DEPTH = { query: 9, mutation: 2, subscription: 3 };

/** Builds a document for each field of the root types, from the schema alone. */
export function buildRootFields(schema: GraphQLSchema): RootField[] {
  const rootTypes = [
    ['query', schema.getQueryType()],
    ['mutation', schema.getMutationType()],
    ['subscription', schema.getSubscriptionType()],
  ] as const;
  return rootTypes.flatMap(([operation, rootType]) =>
    Object.values(rootType?.getFields() ?? {}).map((field) => {
      const writer = new DocumentWriter(MAX_DEPTH[operation]);
      const selection = writer.write(rootType as GraphQLObjectType, field);
      const variables = [...writer.variables].map(([name, type]) => `$${name}: ${type}`).join(', ');
      const document = `${operation} ${variables && `(${variables})`} { ${selection} }`;
      return {
        operation,
        name: `${rootType?.name}.${field.name}`,
        document,
        scalarArguments: writer.scalarArguments,
        enumArguments: writer.enumArguments,
      };
    }),
  );
}

/** Lists every `Type.field` of the schema, and the coordinate of every argument and input field with a scalar type. */
export function listFieldsAndArguments(schema: GraphQLSchema): {
  fields: string[];
  scalarArguments: string[];
} {
  const types = Object.values(schema.getTypeMap()).filter(({ name }) => !name.startsWith('__'));
  const fields: string[] = [];
  const scalarArguments: string[] = [];
  const isScalar = (type: GraphQLInputType) =>
    !isInputObjectType(getNamedType(type)) && !isEnumType(getNamedType(type));
  for (const type of types) {
    if (isObjectType(type)) {
      for (const field of Object.values(type.getFields())) {
        fields.push(`${type.name}.${field.name}`);
        for (const arg of field.args)
          if (isScalar(arg.type)) scalarArguments.push(argumentCoordinate(type, field, arg));
      }
    } else if (isInputObjectType(type)) {
      for (const field of Object.values(type.getFields()))
        if (isScalar(field.type)) scalarArguments.push(`${type.name}.${field.name}`);
    }
  }
  return { fields, scalarArguments };
}

/** A field in a document, with its arguments. `children` is null for a scalar. */
interface SelectedField {
  call: string;
  children: SelectedField[] | null;
}

/**
 * Selects every field of a result. A field that returns an object is expanded where it occurs first, level by level.
 * Elsewhere, and below the maximum depth, only the scalar fields of its object are selected. So cycles end, and the length
 * of a document grows only with the schema.
 */
class DocumentWriter {
  readonly variables = new Map<string, string>();
  readonly scalarArguments: ScalarArgument[] = [];
  readonly enumArguments: EnumArgument[] = [];
  private isNested = false;

  constructor(private readonly maxDepth: number) {}

  write(rootType: GraphQLObjectType, rootField: GraphQLField<unknown, unknown>): string {
    const root = this.selectField(rootType, rootField, 0);
    const expandedFields = new Set<string>();
    const queue = [{ selected: root, owner: rootType, field: rootField, depth: 0 }];
    // The queue grows during the loop, so that fields are visited level by level.
    for (const { selected, owner, field, depth } of queue) {
      const type = getNamedType(field.type);
      if (!isObjectType(type) || !selected.children) continue;
      const name = `${owner.name}.${field.name}`;
      const isExpanded = !expandedFields.has(name) && depth < this.maxDepth;
      if (isExpanded) expandedFields.add(name);
      for (const inner of Object.values(type.getFields())) {
        if (!isExpanded && isObjectType(getNamedType(inner.type))) continue;
        const child = this.selectField(type, inner, depth + 1);
        selected.children.push(child);
        queue.push({ selected: child, owner: type, field: inner, depth: depth + 1 });
      }
    }
    return print(root);
  }

  private selectField(
    owner: GraphQLObjectType,
    field: GraphQLField<unknown, unknown>,
    depth: number,
  ): SelectedField {
    const args = field.args
      .map((arg) => `${arg.name}: $${this.declareVariable(owner, field, arg, depth)}`)
      .join(', ');
    return {
      call: `${field.name}${args && `(${args})`}`,
      children: isObjectType(getNamedType(field.type)) ? [] : null,
    };
  }

  private declareVariable(
    owner: GraphQLObjectType,
    field: GraphQLField<unknown, unknown>,
    arg: GraphQLArgument,
    depth: number,
  ): string {
    const variable = `${owner.name}_${field.name}_${arg.name}`;
    if (this.variables.has(variable)) return variable;
    const type = arg.type.toString();
    // An argument with a default may be omitted, so its variable is nullable.
    this.variables.set(variable, isRequiredArgument(arg) ? type : type.replace(/!$/, ''));
    this.isNested = depth > 0;
    const coordinate = argumentCoordinate(owner, field, arg);
    this.collectArguments(coordinate, arg.type, [variable], isRequiredArgument(arg));
    return variable;
  }

  private collectArguments(
    coordinate: string,
    inputType: GraphQLInputType,
    path: string[],
    isRequired: boolean,
  ): void {
    const type = getNamedType(inputType);
    if (isEnumType(type)) {
      if (isRequired) this.enumArguments.push({ path, values: type.getValues().map(({ name }) => name) });
      return;
    }
    if (!isInputObjectType(type)) {
      const isList = isListType(getNullableType(inputType));
      this.scalarArguments.push({ coordinate, path, isRequired, isList, isNested: this.isNested });
      return;
    }
    for (const field of Object.values<GraphQLInputField>(type.getFields()))
      this.collectArguments(
        `${type.name}.${field.name}`,
        field.type,
        [...path, field.name],
        isRequiredInputField(field),
      );
  }
}

function print({ call, children }: SelectedField): string {
  return children ? `${call} { __typename ${children.map(print).join(' ')} }` : call;
}

function argumentCoordinate(
  owner: GraphQLObjectType,
  field: GraphQLField<unknown, unknown>,
  arg: GraphQLArgument,
): string {
  return `${owner.name}.${field.name}(${arg.name}:)`;
}

/** Adds every `Type.field` with a value in `data` to `found`. Each object must have its `__typename`. */
export function collectFields(data: unknown, found: Set<string>): void {
  if (Array.isArray(data)) for (const item of data) collectFields(item, found);
  else if (typeof data === 'object' && data !== null) {
    const { __typename: type, ...fields } = data as Record<string, unknown>;
    for (const [name, value] of Object.entries(fields)) {
      if (typeof type === 'string' && value !== null) found.add(`${type}.${name}`);
      collectFields(value, found);
    }
  }
}
