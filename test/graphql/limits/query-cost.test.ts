import { expect, test } from '@jest/globals';
import { buildSchema, Kind, parse } from 'graphql';
import { costOfOperation } from '../../../src/graphql/limits/query-cost.js';

const schema = buildSchema(`
  type Query { tasks(first: Int = 20): TaskConnection! }
  type TaskConnection { nodes: [Task!]! }
  type Task { id: ID!, tasks(first: Int = 20): TaskConnection! }
`);

test('the cost of a fragment is calculated once for a request, however often it is spread', () => {
  const depth = 20;
  const doubling = Array.from(
    { length: depth },
    (_, n) => `fragment F${n} on Query { ...F${n + 1} ...F${n + 1} }`,
  );
  const last = `fragment F${depth} on Query { tasks(first: $first) { nodes { id } } }`;
  const document = parse(`query ($first: Int) { ...F0 } ${doubling.join(' ')} ${last}`);
  const [operation] = document.definitions;
  if (operation?.kind !== Kind.OPERATION_DEFINITION)
    throw new Error('The document starts with its operation.');
  const costOf = costOfOperation(schema, document, operation);
  let reads = 0;
  const variablesWith = (first: number) => ({
    get first() {
      reads += 1;
      return first;
    },
  });
  expect([costOf(variablesWith(1)), costOf(variablesWith(3))]).toEqual([2 ** depth * 3, 2 ** depth * 7]);
  expect(reads).toBe(2);
});
