import { beforeAll, describe, expect, test } from '@jest/globals';
import { type GraphQLSchema } from 'graphql';
import { getMetadataStorage } from 'type-graphql';
import { isScope } from '../../../src/core/access/caller.js';
import { buildExecutableSchema, type SchemaServices } from '../../../src/graphql/server/schema.js';

/** Root fields that require a caller but no scope, with the reason. */
const WITHOUT_SCOPE: Readonly<Record<string, string>> = {
  'Query.viewer': 'every caller may see its own permissions',
  'Query.rateLimit': 'every caller may see its own limit',
  'Mutation.setBudget': 'the scope depends on the input, so the service checks it',
};

interface DeclaredScopes {
  field: string;
  /** Undefined if the field has no @Authorized. */
  scopes: string[] | undefined;
}

let schema: GraphQLSchema;
let declared: DeclaredScopes[];
beforeAll(async () => {
  schema = await buildExecutableSchema({} as SchemaServices);
  const { queries, mutations, subscriptions } = getMetadataStorage();
  const metadataByType = { Query: queries, Mutation: mutations, Subscription: subscriptions };
  declared = Object.entries(metadataByType).flatMap(([type, fields]) =>
    fields.map(({ schemaName, roles }) => ({ field: `${type}.${schemaName}`, scopes: roles as string[] })),
  );
});

const rootFields = () =>
  [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
    Object.keys(type?.getFields() ?? {}).map((name) => `${type?.name}.${name}`),
  );

describe('every root field of the schema', () => {
  test('declares the scope that it requires, or is listed as one that requires none', () => {
    expect(rootFields().length).toBeGreaterThan(20);
    expect(declared.map(({ field }) => field).sort()).toEqual(rootFields().sort());
    const withoutScope = declared.filter(({ scopes }) => !scopes?.length).map(({ field }) => field);
    expect(withoutScope.sort()).toEqual(Object.keys(WITHOUT_SCOPE).sort());
  });

  test('requires at least a caller', () => {
    expect(declared.filter(({ scopes }) => scopes === undefined)).toEqual([]);
  });

  test('declares only scopes that exist', () => {
    expect(declared.flatMap(({ scopes }) => scopes ?? []).filter((scope) => !isScope(scope))).toEqual([]);
  });
});
