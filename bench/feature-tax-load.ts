/** The load of feature-tax.ts, in a process of its own: `[query or create, url, api key]`. */
import { GraphqlClient } from './support/graphql-client.js';
import { helperArgs } from './support/helper.js';
import { serveLoad } from './support/load.js';
import { GENERATE, type Generated, PROMPT } from './support/new-task.js';

/** As in create-load.ts. */
const CONNECTIONS = 16;
const VIEWER = 'query Viewer { viewer { workspaceId workspaceName keyName scopes } }';

const [kind, url = '', apiKey = ''] = helperArgs();
const client = new GraphqlClient(url, apiKey, CONNECTIONS);
const ask = async () => {
  await client.query(VIEWER, {});
};
const create = async () => {
  const { generateImages } = await client.query<Generated>(GENERATE, { input: { prompt: PROMPT } });
  if (!generateImages.task) throw new Error(generateImages.userErrors[0]?.message);
};
serveLoad(Array.from({ length: CONNECTIONS }, () => (kind === 'query' ? ask : create)));
