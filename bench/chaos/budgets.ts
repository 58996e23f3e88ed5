import { request } from 'undici';

/** So that every task moves money. The figures mean nothing. */
export const PRICES = {
  prices: [{ model: 'flux-dev', perImage: '0.03', currency: 'USD', validFrom: '2020-01-01' }],
};
/** What no run comes to: the counters are to be moved, and nobody is to be refused. */
const AMOUNT = '1000000';

const MUTATION = `mutation ChaosBudgets($key: ID!) {
  ofWorkspace: setBudget(input: { scope: WORKSPACE, amount: "${AMOUNT}" }) { userErrors { message } }
  ofKey: setBudget(input: { scope: KEY, id: $key, amount: "${AMOUNT}" }) { userErrors { message } }
}`;

/** Bounds the workspace and the key, so that every task counts in two budgets. Before anything is broken. */
export async function setBudgets(url: string, apiKey: string): Promise<void> {
  const ask = async (query: string, variables?: object): Promise<unknown> => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` };
    const body = JSON.stringify({ query, variables });
    return (await request(`${url}/graphql`, { method: 'POST', headers, body })).body.json();
  };
  const { data } = (await ask('{ viewer { keyId } }')) as { data: { viewer: { keyId: string } } };
  const answer = JSON.stringify(await ask(MUTATION, { key: data.viewer.keyId }));
  if (answer.includes('message')) throw new Error(`The budgets were not set: ${answer}`);
}
