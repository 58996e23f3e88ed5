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

/** An argument, or a field of an input, that takes a scalar: where it is stated, and where it stands in the variables. */
export interface Slot {
  /** Such as `Query.task(id:)` or `CancelTaskInput.id`. */
  coordinate: string;
  path: string[];
  isList: boolean;
  isRequired: boolean;
  /** It is of a field of the result, not of the root's. */
  isNested: boolean;
}

/** One field of a root type, with everything that can be asked of its result. */
export interface RootField {
  operation: 'query' | 'mutation' | 'subscription';
  /** Such as `Query.task`. */
  name: string;
  document: string;
  slots: Slot[];
  /** Enums that must be given: each value is asked with. */
  choices: Choice[];
}
export interface Choice {
  path: string[];
  values: string[];
}

/** How deep a result is asked for; what lies deeper is met from another root. */
const DEPTH = { query: 9, mutation: 2, subscription: 3 };

/** Each field of the root types, made from the schema alone. */
export function rootFields(schema: GraphQLSchema): RootField[] {
  const roots = [
    ['query', schema.getQueryType()],
    ['mutation', schema.getMutationType()],
    ['subscription', schema.getSubscriptionType()],
  ] as const;
  return roots.flatMap(([operation, type]) =>
    Object.values(type?.getFields() ?? {}).map((field) => {
      const writer = new DocumentWriter(DEPTH[operation]);
      const body = writer.field(type as GraphQLObjectType, field, 0);
      const declared = [...writer.variables].map(([name, kind]) => `$${name}: ${kind}`).join(', ');
      const document = `${operation} ${declared && `(${declared})`} { ${body} }`;
      return {
        operation,
        name: `${type?.name}.${field.name}`,
        document,
        slots: writer.slots,
        choices: writer.choices,
      };
    }),
  );
}

/** Every `Type.field` that can be met from the roots, and every scalar argument and input field. */
export function everythingIn(schema: GraphQLSchema): { fields: string[]; slots: string[] } {
  const types = Object.values(schema.getTypeMap()).filter(({ name }) => !name.startsWith('__'));
  const fields: string[] = [];
  const slots: string[] = [];
  const isScalar = (type: GraphQLInputType) =>
    !isInputObjectType(getNamedType(type)) && !isEnumType(getNamedType(type));
  for (const type of types) {
    if (isObjectType(type)) {
      for (const field of Object.values(type.getFields())) {
        fields.push(`${type.name}.${field.name}`);
        for (const arg of field.args) if (isScalar(arg.type)) slots.push(coordinateOf(type, field, arg));
      }
    } else if (isInputObjectType(type)) {
      for (const field of Object.values(type.getFields()))
        if (isScalar(field.type)) slots.push(`${type.name}.${field.name}`);
    }
  }
  return { fields, slots };
}

/**
 * Selects every field of a result. A field that leads to an object is followed the first time that it is met; later, and
 * below the depth, its object's plain fields are selected: so circles end, and a document grows with the schema alone.
 */
class DocumentWriter {
  readonly variables = new Map<string, string>();
  readonly slots: Slot[] = [];
  readonly choices: Choice[] = [];
  private readonly followed = new Set<string>();
  private isNested = false;

  constructor(private readonly maxDepth: number) {}

  field(owner: GraphQLObjectType, field: GraphQLField<unknown, unknown>, depth: number): string {
    const name = `${owner.name}.${field.name}`;
    const args = field.args
      .map((arg) => `${arg.name}: $${this.declare(owner, field, arg, depth)}`)
      .join(', ');
    const called = `${field.name}${args && `(${args})`}`;
    const type = getNamedType(field.type);
    if (!isObjectType(type)) return called;
    const isFollowed = !this.followed.has(name) && depth < this.maxDepth;
    if (isFollowed) this.followed.add(name);
    const inner = Object.values(type.getFields())
      .filter((each) => isFollowed || !isObjectType(getNamedType(each.type)))
      .map((each) => this.field(type, each, depth + 1));
    return `${called} { __typename ${inner.join(' ')} }`;
  }

  private declare(
    owner: GraphQLObjectType,
    field: GraphQLField<unknown, unknown>,
    arg: GraphQLArgument,
    depth: number,
  ): string {
    const variable = `${owner.name}_${field.name}_${arg.name}`;
    if (this.variables.has(variable)) return variable;
    const text = arg.type.toString();
    // What has a default may be left out.
    this.variables.set(variable, isRequiredArgument(arg) ? text : text.replace(/!$/, ''));
    this.isNested = depth > 0;
    this.collect(coordinateOf(owner, field, arg), arg.type, [variable], isRequiredArgument(arg));
    return variable;
  }

  private collect(coordinate: string, given: GraphQLInputType, path: string[], isRequired: boolean): void {
    const type = getNamedType(given);
    if (isEnumType(type)) {
      if (isRequired) this.choices.push({ path, values: type.getValues().map(({ name }) => name) });
      return;
    }
    if (!isInputObjectType(type)) {
      const { isNested } = this;
      this.slots.push({ coordinate, path, isRequired, isList: isListType(getNullableType(given)), isNested });
      return;
    }
    for (const field of Object.values<GraphQLInputField>(type.getFields()))
      this.collect(
        `${type.name}.${field.name}`,
        field.type,
        [...path, field.name],
        isRequiredInputField(field),
      );
  }
}

function coordinateOf(
  owner: GraphQLObjectType,
  field: GraphQLField<unknown, unknown>,
  arg: GraphQLArgument,
): string {
  return `${owner.name}.${field.name}(${arg.name}:)`;
}

/** The `Type.field`s that an answer shows: every object in it says its type. */
export function fieldsIn(data: unknown, found: Set<string>): void {
  if (Array.isArray(data)) for (const item of data) fieldsIn(item, found);
  else if (typeof data === 'object' && data !== null) {
    const { __typename: type, ...fields } = data as Record<string, unknown>;
    for (const [name, value] of Object.entries(fields)) {
      if (typeof type === 'string' && value !== null) found.add(`${type}.${name}`);
      fieldsIn(value, found);
    }
  }
}
