/**
 * The load of callbacks.ts, in a process of its own: `[http, url, ids, secret]` posts results to the service, and
 * `[pg, database url, ids, secret]` sends the statement that the service would send straight to Postgres.
 */
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { Pool } from 'undici';
import { ACTORS } from '../src/core/events/task-event.js';
import { newId } from '../src/core/primitives/ids.js';
import { Signer } from '../src/core/access/signer.js';
import { MOVE_TASK } from '../src/db/tasks/task-statements.js';
import { type Move, moveValues } from '../src/db/tasks/task-repository.js';
import { helperArgs } from './support/helper.js';
import { serveLoad } from './support/load.js';
import { callbackBody, callbackPath, pictureUrl } from './support/running-tasks.js';

const CONNECTIONS = 16;

const [kind, address = '', file = '', secret = ''] = helperArgs();
const ids = JSON.parse(readFileSync(file, 'utf8')) as string[];
const lane = kind === 'http' ? postCallback() : await sendStatement();
serveLoad(Array.from({ length: CONNECTIONS }, (_, index) => () => lane(index)));

function nextId(): string {
  const id = ids.pop();
  if (id === undefined)
    throw new Error('There are no running tasks left; this machine is faster than expected.');
  return id;
}

function postCallback(): (lane: number) => Promise<void> {
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
    if (statusCode !== 200) throw new Error(`A callback was answered ${statusCode}.`);
  };
}

async function sendStatement(): Promise<(lane: number) => Promise<void>> {
  const clients = Array.from({ length: CONNECTIONS }, () => new pg.Client({ connectionString: address }));
  for (const client of clients) {
    client.on('error', () => process.exit(1)); // the server was stopped under us
    await client.connect();
  }
  return async (lane) => {
    const id = nextId();
    const values = moveValues(id, 'SUCCEEDED', moveOf(id));
    const answer = await clients[lane]?.query({ ...MOVE_TASK, values });
    if (answer?.rowCount !== 1) throw new Error('The statement moved no task.');
  };
}

const PICTURE = {
  seed: '1698551532',
  inferenceSeconds: 3.328,
  reported: { seed: 1698551532, timings: { inference: 3.328 } },
};

/** Value for value what the service writes for the callback above. */
function moveOf(id: string): Move<'TASK_SUCCEEDED'> {
  const imageId = newId();
  return {
    upstreamTaskId: id,
    upstreamTraceId: id,
    images: [{ id: imageId, index: 0, url: pictureUrl(id), ...PICTURE }],
    event: {
      type: 'TASK_SUCCEEDED',
      actor: ACTORS.callback,
      data: { deliveredCount: 1, imageIds: [imageId] },
    },
    jobs: [{ name: 'store-images', payload: { taskId: id } }],
    callback: { id: newId(), body: Buffer.from(callbackBody(id)) },
  };
}
