/**
 * The load process of callbacks.ts. With the arguments `[http, url, ids, secret]` it posts callbacks to the service. With
 * `[pg, database url, ids, secret]` it sends the service's SQL statement directly to PostgreSQL.
 */
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { Pool } from 'undici';
import { EVENT_ACTORS } from '../src/core/events/task-event.js';
import { newId } from '../src/core/primitives/ids.js';
import { Signer } from '../src/core/access/signer.js';
import { bind } from '../src/db/postgres/statement.js';
import {
  type TaskTransition,
  TRANSITION_TASK,
  transitionParameters,
} from '../src/db/tasks/task-transition.js';
import { helperArgs } from './support/helper.js';
import { serveLoad } from './support/load.js';
import { callbackBody, callbackPath, imageUrl } from './support/running-tasks.js';

const CONNECTIONS = 16;

const [kind, address = '', file = '', secret = ''] = helperArgs();
const ids = JSON.parse(readFileSync(file, 'utf8')) as string[];
const lane = kind === 'http' ? createCallbackLane() : await createStatementLane();
serveLoad(Array.from({ length: CONNECTIONS }, (_, index) => () => lane(index)));

function nextId(): string {
  const id = ids.pop();
  if (id === undefined)
    throw new Error(
      'No running tasks are left, because this machine is faster than expected. Lower --seconds.',
    );
  return id;
}

function createCallbackLane(): (lane: number) => Promise<void> {
  const pool = new Pool(address, { connections: CONNECTIONS, pipelining: 1 });
  const signer = new Signer(Buffer.from(secret));
  return async () => {
    const id = nextId();
    const { statusCode, body } = await pool.request({
      path: callbackPath(signer, id),
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: callbackBody(id),
    });
    await body.dump();
    if (statusCode !== 200) throw new Error(`A callback got status ${statusCode}.`);
  };
}

async function createStatementLane(): Promise<(lane: number) => Promise<void>> {
  const clients = Array.from({ length: CONNECTIONS }, () => new pg.Client({ connectionString: address }));
  for (const client of clients) {
    client.on('error', () => process.exit(1)); // the server was stopped
    await client.connect();
  }
  return async (lane) => {
    const id = nextId();
    const parameters = { id, ...transitionParameters('SUCCEEDED', successMove(id)) };
    const result = await clients[lane]?.query(bind(TRANSITION_TASK, parameters));
    if (result?.rowCount !== 1) throw new Error('The statement updated no task.');
  };
}

const IMAGE_FIELDS = {
  seed: '1698551532',
  inferenceSeconds: 3.328,
  upstreamMetadata: { seed: 1698551532, timings: { inference: 3.328 } },
};

/** Exactly the values that the service writes for this callback. */
function successMove(id: string): TaskTransition<'TASK_SUCCEEDED'> {
  const imageId = newId();
  return {
    upstreamTaskId: id,
    upstreamTraceId: id,
    images: [{ id: imageId, index: 0, upstreamUrl: imageUrl(id), ...IMAGE_FIELDS }],
    event: {
      type: 'TASK_SUCCEEDED',
      actor: EVENT_ACTORS.upstreamCallback,
      data: { deliveredCount: 1, imageIds: [imageId] },
    },
    jobs: [{ name: 'ingest-images', payload: { taskId: id } }],
    callback: { id: newId(), attempt: 1, body: Buffer.from(callbackBody(id)) },
  };
}
