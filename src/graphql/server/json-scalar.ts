import { GraphQLError, GraphQLScalarType, visit } from 'graphql';
import { GraphQLJSON } from 'graphql-scalars';
import { isExact } from '../../core/primitives/encoding/json-scanner.js';

/**
 * The scalar `JSON`, which keeps a literal in a document exactly or refuses it. The library's own rounds large numbers, and drops
 * names that stand for no value, such as `RED`. Values of variables have been checked where their JSON was read.
 */
export const JsonScalar = new GraphQLScalarType<unknown, unknown>({
  ...GraphQLJSON.toConfig(),
  parseLiteral: (literal, variables) => {
    const checkNumber = ({ value }: { value: string }) => {
      if (isExact(value)) return;
      const message = `JSON cannot keep the number ${value.slice(0, 50)} exactly: the limit is ±${Number.MAX_SAFE_INTEGER} (2^53 - 1). Write it as a string.`;
      throw new GraphQLError(message, { nodes: literal });
    };
    visit(literal, {
      IntValue: checkNumber,
      FloatValue: checkNumber,
      EnumValue: ({ value }) => {
        throw new GraphQLError(`JSON has no value ${value.slice(0, 50)}. Write a text in quotes.`, {
          nodes: literal,
        });
      },
    });
    return GraphQLJSON.parseLiteral(literal, variables) as unknown;
  },
});
