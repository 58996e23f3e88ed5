import { registerEnumType } from 'type-graphql';

/** Creates an enum of the schema from the descriptions of its values, which are their own names. */
export function createEnumType<Value extends string>(
  name: string,
  description: string,
  descriptions: Readonly<Record<Value, string>>,
): { [Name in Value]: Name } {
  const entries = Object.entries<string>(descriptions);
  const enumType = Object.fromEntries(entries.map(([value]) => [value, value]));
  const valuesConfig = Object.fromEntries(entries.map(([value, text]) => [value, { description: text }]));
  registerEnumType(enumType, { name, description, valuesConfig });
  return enumType as { [Name in Value]: Name };
}
