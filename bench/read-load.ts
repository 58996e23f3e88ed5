/** The load process of read.ts. Arguments: `[url, api key, document, variables as a JSON list]`. Requests use them in turn. */
import { GraphqlClient } from './support/graphql-client.js';
import { helperArgs } from './support/helper.js';
import { serveLoad } from './support/load.js';

/** As in create-load.ts. */
const CONNECTIONS = 16;

const [url = '', apiKey = '', document = '', list = '[{}]'] = helperArgs();
const client = new GraphqlClient(url, apiKey, CONNECTIONS);
const variables = JSON.parse(list) as object[];
let count = 0;
const read = async () => {
  await client.query(document, variables[(count += 1) % variables.length] ?? {});
};
serveLoad(Array.from({ length: CONNECTIONS }, () => read));
