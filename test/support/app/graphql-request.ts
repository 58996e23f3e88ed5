import { type TestApp } from './test-app.js';

export interface GraphqlResult<Data> {
  data?: Data | null;
  errors?: { message: string; extensions?: { code?: string } }[];
}

/** Posts a document that clients/operations.graphql does not contain, and returns the whole response. */
export async function postGraphql<Data = Record<string, unknown>>(
  app: TestApp,
  query: string,
  variables: object = {},
  key = app.apiKey,
): Promise<GraphqlResult<Data>> {
  const { json } = await app.postBody('/graphql', { query, variables }, { authorization: `Bearer ${key}` });
  return json as GraphqlResult<Data>;
}

/** Returns the value of the document's only field. Throws when the response has errors. */
export async function queryField<Value>(
  app: TestApp,
  query: string,
  variables: object = {},
  key = app.apiKey,
): Promise<Value> {
  const { data, errors } = await postGraphql<Record<string, Value>>(app, query, variables, key);
  const [field] = Object.values(data ?? {});
  if (errors || field === undefined) throw new Error(`The response has errors: ${JSON.stringify(errors)}`);
  return field;
}
