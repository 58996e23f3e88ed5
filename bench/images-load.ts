/** The load process of images.ts. Arguments: `[url]`. Fetches the URL repeatedly. */
import { Pool } from 'undici';
import { helperArgs } from './support/helper.js';
import { serveLoad } from './support/load.js';

/** Enough to keep two cores busy on either side. */
const CONNECTIONS = 16;

const [address = ''] = helperArgs();
const { origin, pathname, search } = new URL(address);
const pool = new Pool(origin, { connections: CONNECTIONS, pipelining: 1 });
const fetchOnce = async () => {
  const { statusCode, body } = await pool.request({ path: pathname + search, method: 'GET' });
  await body.dump({ limit: Number.MAX_SAFE_INTEGER });
  if (statusCode !== 200) throw new Error(`An image got status ${statusCode}.`);
};
serveLoad(Array.from({ length: CONNECTIONS }, () => fetchOnce));
