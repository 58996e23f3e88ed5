/** The load process of feature-tax.ts. Arguments: `[query or create, url, api key]`. */
import { GraphqlClient } from './support/graphql-client.js';
import { helperArgs } from './support/helper.js';
import { serveLoad } from './support/load.js';
import { GENERATE_MUTATION, type GenerateImagesResult, PROMPT } from './support/new-task.js';

/** As in create-load.ts. */
const CONNECTIONS = 16;
const VIEWER = 'query Viewer { viewer { workspaceId workspaceName keyName scopes } }';

const [kind, url = '', apiKey = ''] = helperArgs();
const client = new GraphqlClient(url, apiKey, CONNECTIONS);
const query = async () => {
  await client.query(VIEWER, {});
};
const create = async () => {
  const { generateImages } = await client.query<GenerateImagesResult>(GENERATE_MUTATION, {
    input: { prompt: PROMPT },
  });
  if (!generateImages.task) throw new Error(generateImages.userErrors[0]?.message);
};
serveLoad(Array.from({ length: CONNECTIONS }, () => (kind === 'query' ? query : create)));
