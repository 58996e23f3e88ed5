/**
 * The load process of create.ts. With the arguments `[graphql, url, api key]` it sends mutations to the service. With
 * `[pg, database url, workspace id]` it sends the service's SQL statement directly to PostgreSQL.
 */
import pg from 'pg';
import { bind } from '../src/db/postgres/statement.js';
import { INSERT_TASK, insertTaskParameters } from '../src/db/tasks/task-row.js';
import { GraphqlClient } from './support/graphql-client.js';
import { helperArgs } from './support/helper.js';
import { serveLoad } from './support/load.js';
import { GENERATE_MUTATION, type GenerateImagesResult, newTask, PROMPT } from './support/new-task.js';

/** Enough to keep two cores busy on either side, and about as many as a service behind a load balancer sees. */
const CONNECTIONS = 16;

function createGraphqlLanes(url: string, apiKey: string): (() => Promise<void>)[] {
  const client = new GraphqlClient(url, apiKey, CONNECTIONS);
  return repeatPerConnection(async () => {
    const { generateImages } = await client.query<GenerateImagesResult>(GENERATE_MUTATION, {
      input: { prompt: PROMPT },
    });
    if (!generateImages.task) throw new Error(generateImages.userErrors[0]?.message);
  });
}

async function createPgLanes(databaseUrl: string, workspaceId: string): Promise<(() => Promise<void>)[]> {
  const clientFactories = repeatPerConnection(() => new pg.Client({ connectionString: databaseUrl }));
  return Promise.all(
    clientFactories.map(async (createClient) => {
      const client = createClient();
      client.on('error', () => process.exit(1)); // the server was stopped
      await client.connect();
      return async () => {
        const parameters = insertTaskParameters(newTask(workspaceId), 'bench');
        const { rowCount } = await client.query(bind(INSERT_TASK, parameters));
        if (rowCount !== 1) throw new Error('The statement wrote no task.');
      };
    }),
  );
}

function repeatPerConnection<Lane>(item: Lane): Lane[] {
  return Array.from({ length: CONNECTIONS }, () => item);
}

const [kind, address = '', credential = ''] = helperArgs();
serveLoad(
  kind === 'graphql' ? createGraphqlLanes(address, credential) : await createPgLanes(address, credential),
);
