import { type TestApp } from './test-app.js';

export interface Asked<Data> {
  data?: Data | null;
  errors?: { message: string; extensions?: { code?: string } }[];
}

/** Posts a document that no frontend has, and returns the whole answer. */
export async function ask<Data = Record<string, unknown>>(
  app: TestApp,
  query: string,
  variables: object = {},
  key = app.key,
): Promise<Asked<Data>> {
  const { json } = await app.send('/graphql', { query, variables }, { authorization: `Bearer ${key}` });
  return json as Asked<Data>;
}

/** What the document's only field answers; an error when there are errors. */
export async function answerOf<Answer>(
  app: TestApp,
  query: string,
  variables: object = {},
  key = app.key,
): Promise<Answer> {
  const { data, errors } = await ask<Record<string, Answer>>(app, query, variables, key);
  const [answer] = Object.values(data ?? {});
  if (errors || answer === undefined) throw new Error(`It answered with errors: ${JSON.stringify(errors)}`);
  return answer;
}
