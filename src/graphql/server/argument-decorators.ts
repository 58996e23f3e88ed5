import { Arg } from 'type-graphql';

/** The argument `input` of a mutation. */
export function Input(type: object, description: string) {
  return Arg('input', () => type, { description });
}

/** The argument `filter` of a connection. `allItems` says what it has without one: "all tasks". */
export function Filter(type: object, allItems: string) {
  return Arg('filter', () => type, { nullable: true, description: `Conditions. Omitted: ${allItems}.` });
}
