/**
 * The load of create.ts, in a process of its own: `[graphql, url, api key]` sends mutations to the service, and
 * `[pg, database url, workspace id]` sends the statement that the service would send straight to Postgres.
 */
import pg from 'pg';
import { INSERT_TASK } from '../src/db/tasks/task-statements.js';
import { insertValues } from '../src/db/tasks/task-repository.js';
import { GraphqlClient } from './support/graphql-client.js';
import { helperArgs } from './support/helper.js';
import { serveLoad } from './support/load.js';
import { GENERATE, type Generated, newTask, PROMPT } from './support/new-task.js';

/** Enough to keep two cores busy on either side; a service behind a load balancer sees about as many. */
const CONNECTIONS = 16;

function graphqlLanes(url: string, apiKey: string): (() => Promise<void>)[] {
  const client = new GraphqlClient(url, apiKey, CONNECTIONS);
  return lanes(async () => {
    const { generateImages } = await client.query<Generated>(GENERATE, { input: { prompt: PROMPT } });
    if (!generateImages.task) throw new Error(generateImages.userErrors[0]?.message);
  });
}

async function pgLanes(databaseUrl: string, workspaceId: string): Promise<(() => Promise<void>)[]> {
  const clients = lanes(() => new pg.Client({ connectionString: databaseUrl }));
  return Promise.all(
    clients.map(async (makeClient) => {
      const client = makeClient();
      client.on('error', () => process.exit(1)); // the server was stopped under us
      await client.connect();
      return async () => {
        const { rowCount } = await client.query({
          ...INSERT_TASK,
          values: insertValues(newTask(workspaceId), 'bench'),
        });
        if (rowCount !== 1) throw new Error('The statement wrote no task.');
      };
    }),
  );
}

function lanes<Lane>(lane: Lane): Lane[] {
  return Array.from({ length: CONNECTIONS }, () => lane);
}

const [kind, address = '', credential = ''] = helperArgs();
serveLoad(kind === 'graphql' ? graphqlLanes(address, credential) : await pgLanes(address, credential));
