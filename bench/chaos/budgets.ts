import { request } from 'undici';

/** The model of all tasks. */
export const CHAOS_MODEL = 'flux-2-klein';
/** Prices, so that every task is booked in the ledger. The amounts are arbitrary. */
export const PRICES = {
  prices: [{ model: CHAOS_MODEL, perImage: '0.03', currency: 'USD', validFrom: '2020-01-01' }],
};
/** More than any run spends, so that budgets are counted but never refuse a request. */
const AMOUNT = '1000000';

const MUTATION = `mutation ChaosBudgets($key: ID!) {
  ofWorkspace: setBudget(input: { scope: WORKSPACE, amount: "${AMOUNT}" }) { userErrors { message } }
  ofKey: setBudget(input: { scope: API_KEY, scopeId: $key, amount: "${AMOUNT}" }) { userErrors { message } }
}`;

/** Sets a budget for the workspace and one for the API key, so that every task counts in two. Called before the first fault. */
export async function setBudgets(url: string, apiKey: string): Promise<void> {
  const execute = async (query: string, variables?: object): Promise<unknown> => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` };
    const body = JSON.stringify({ query, variables });
    return (await request(`${url}/graphql`, { method: 'POST', headers, body })).body.json();
  };
  const { data } = (await execute('{ viewer { keyId } }')) as { data: { viewer: { keyId: string } } };
  const response = JSON.stringify(await execute(MUTATION, { key: data.viewer.keyId }));
  if (response.includes('message')) throw new Error(`The budgets could not be set: ${response}`);
}
