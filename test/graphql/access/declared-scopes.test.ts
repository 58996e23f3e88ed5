import { beforeAll, describe, expect, test } from '@jest/globals';
import { type GraphQLSchema } from 'graphql';
import { getMetadataStorage } from 'type-graphql';
import { isScope } from '../../../src/core/access/caller.js';
import { makeSchema, type SchemaServices } from '../../../src/graphql/server/schema.js';

/** Fields that need a caller and no scope, and why. */
const WITHOUT_SCOPE: Readonly<Record<string, string>> = {
  'Query.viewer': 'whoever has a key may know what it is',
  'Query.rateLimit': 'whoever is limited may know how much is left',
  'Mutation.setBudget': 'workspaces:admin or keys:admin, by whose budget it is: the service asks',
};

interface Stated {
  field: string;
  /** Undefined: it does not say @Authorized at all. */
  scopes: string[] | undefined;
}

let schema: GraphQLSchema;
let stated: Stated[];
beforeAll(async () => {
  schema = await makeSchema({} as SchemaServices);
  const { queries, mutations, subscriptions } = getMetadataStorage();
  const named = { Query: queries, Mutation: mutations, Subscription: subscriptions };
  stated = Object.entries(named).flatMap(([type, fields]) =>
    fields.map(({ schemaName, roles }) => ({ field: `${type}.${schemaName}`, scopes: roles as string[] })),
  );
});

const rootFields = () =>
  [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
    Object.keys(type?.getFields() ?? {}).map((name) => `${type?.name}.${name}`),
  );

describe('every field at the root of the schema', () => {
  test('states the scope that it needs, or is on the short list of those that need none', () => {
    expect(rootFields().length).toBeGreaterThan(20);
    expect(stated.map(({ field }) => field).sort()).toEqual(rootFields().sort());
    const silent = stated.filter(({ scopes }) => !scopes?.length).map(({ field }) => field);
    expect(silent.sort()).toEqual(Object.keys(WITHOUT_SCOPE).sort());
  });

  test('needs a caller at least', () => {
    expect(stated.filter(({ scopes }) => scopes === undefined)).toEqual([]);
  });

  test('states scopes that there are', () => {
    expect(stated.flatMap(({ scopes }) => scopes ?? []).filter((scope) => !isScope(scope))).toEqual([]);
  });
});
