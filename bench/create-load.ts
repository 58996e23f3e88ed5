/**
 * The load of create.ts, in a process of its own: `[graphql, url, api key]` sends mutations to the service, and
 * `[pg, database url, workspace id]` sends the statement that the service would send straight to Postgres.
 */
import { createHash } from 'node:crypto';
import pg from 'pg';
import { newId } from '../src/core/ids.js';
import { INSERT_TASK } from '../src/db/task-statements.js';
import { insertValues, type NewTask } from '../src/db/tasks.js';
import { GraphqlClient } from './support/graphql-client.js';
import { helperArgs } from './support/helper.js';
import { serveLoad } from './support/load.js';

/** Enough to keep two cores busy on either side; a service behind a load balancer sees about as many. */
const CONNECTIONS = 16;

const PROMPT = 'a white siamese cat on a windowsill, late afternoon light, 35 mm, shallow depth of field';

/** What a frontend asks for: the task to show in its list, the cursor to watch it from, and what it must mend. */
const GENERATE = `mutation Generate($input: GenerateImagesInput!) {
  generateImages(input: $input) {
    task { id status prompt model createdAt cursor }
    replayed
    userErrors { code message field }
  }
}`;

interface Generated {
  generateImages: { task: { id: string } | null; userErrors: { message: string }[] };
}

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

/** Value for value what the service writes for the mutation above. */
function newTask(workspaceId: string): NewTask {
  return {
    id: newId(),
    workspaceId,
    kind: 'GENERATE',
    prompt: PROMPT,
    model: 'flux-dev',
    size: '1024x1024',
    requestedCount: 1,
    sourceImageId: null,
    sourceImageUrl: null,
    idempotencyKey: null,
    inputHash: INPUT_HASH,
    metadata: null,
    timeoutSeconds: 600,
    retryOfId: null,
    callbackUrl: null,
    traceId: null,
    keyId: newId(),
    endUserId: null,
    priority: 'NORMAL',
    unitPrice: null,
    currency: null,
  };
}
const INPUT_HASH = createHash('sha256').update(PROMPT).digest();

const [kind, address = '', credential = ''] = helperArgs();
serveLoad(kind === 'graphql' ? graphqlLanes(address, credential) : await pgLanes(address, credential));
