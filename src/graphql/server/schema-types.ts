import { type ClassType, Field, InputType, ObjectType, registerEnumType } from 'type-graphql';

/** A field of a type. `type` is a scalar, an enum, a class, or an array of one of them, for a list. */
interface FieldDefinition<IsNullable extends boolean = boolean> {
  type: object;
  nullable: IsNullable;
  description: string;
  defaultValue?: unknown;
}

/** Definition of the field for a property with these values. Where null is possible, the field must be nullable. */
type FieldFor<Value> = FieldDefinition<unknown extends Value ? boolean : null extends Value ? true : false>;

/** Definitions of fields by name. */
export type FieldDefinitions = Readonly<Record<string, FieldDefinition>>;

/** A field that is never null. */
export function field(type: object, description: string): FieldDefinition<false> {
  return { type, nullable: false, description };
}

/** A field of an output that may be null, or a field of an input that may be omitted. */
export function nullable(type: object, description: string, defaultValue?: unknown): FieldDefinition<true> {
  return { type, nullable: true, description, defaultValue };
}

/**
 * Creates an object type that shows some properties of `Source`, which resolvers return. The compiler checks their names
 * and whether they may be null. Other fields come from field resolvers.
 */
export function createObjectType<Source extends object>(
  name: string,
  description: string,
  fields: { [Name in keyof Source]?: FieldFor<Source[Name]> },
): ClassType<Source> {
  return defineClass(ObjectType(name, { description, simpleResolvers: true }), fields as FieldDefinitions);
}

/** Creates an input type with a field for every property of `Source`, which resolvers receive. */
export function createInputType<Source extends object>(
  name: string,
  description: string,
  fields: { [Name in keyof Source]-?: FieldFor<Source[Name]> },
): ClassType<Source> {
  return defineClass(InputType(name, { description }), fields as FieldDefinitions);
}

/** Creates an enum from the descriptions of its values, which are their own names. */
export function createEnumType<Value extends string>(
  name: string,
  description: string,
  descriptions: Readonly<Record<Value, string>>,
): object {
  const entries = Object.entries<string>(descriptions);
  const enumType = Object.fromEntries(entries.map(([value]) => [value, value]));
  const valuesConfig = Object.fromEntries(entries.map(([value, text]) => [value, { description: text }]));
  registerEnumType(enumType, { name, description, valuesConfig });
  return enumType;
}

/** type-graphql identifies a type by its class. The decorators say the rest. */
function defineClass<Source extends object>(
  decorate: ClassDecorator,
  fields: FieldDefinitions,
): ClassType<Source> {
  class DefinedType {}
  for (const [name, { type, ...options }] of Object.entries(fields))
    Field(() => type, options)(DefinedType.prototype, name);
  decorate(DefinedType);
  return DefinedType as ClassType<Source>;
}
