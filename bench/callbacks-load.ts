/**
 * The load of callbacks.ts, in a process of its own: `[http, url, ids, secret]` posts results to the service, and
 * `[pg, database url, ids, secret]` sends the statement that the service would send straight to Postgres.
 */
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { Pool } from 'undici';
import { ACTORS } from '../src/core/events.js';
import { newId } from '../src/core/ids.js';
import { Signer } from '../src/core/signature.js';
import { MOVE_TASK } from '../src/db/task-statements.js';
import { type Move, moveValues } from '../src/db/tasks.js';
import { loadArgs, serveLoad } from './support/load.js';

const CONNECTIONS = 16;

const [kind, address = '', file = '', secret = ''] = loadArgs();
const ids = JSON.parse(readFileSync(file, 'utf8')) as string[];
const lane = kind === 'http' ? postCallback() : await sendStatement();
serveLoad(Array.from({ length: CONNECTIONS }, (_, index) => () => lane(index)));

function nextId(): string {
  const id = ids.pop();
  if (id === undefined)
    throw new Error('There are no running tasks left; this machine is faster than expected.');
  return id;
}

/** As the upstream posts it. */
function bodyOf(id: string): string {
  const data = [
    { prompt: 'a white siamese cat', image_url: urlOf(id), seed: 1698551532, timings: { inference: 3.328 } },
  ];
  return JSON.stringify({ success: true, task_id: id, trace_id: id, data });
}

function urlOf(id: string): string {
  return `https://pictures.invalid/${id}.png`;
}

function postCallback(): (lane: number) => Promise<void> {
  const pool = new Pool(address, { connections: CONNECTIONS, pipelining: 1 });
  const signer = new Signer(Buffer.from(secret));
  return async () => {
    const id = nextId();
    const { statusCode, body } = await pool.request({
      path: `/callbacks/flux/${id}/${signer.sign('flux-callback', id)}`,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: bodyOf(id),
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

/** Value for value what the service writes for the callback above. */
function moveOf(id: string): Move<'TASK_SUCCEEDED'> {
  const imageId = newId();
  return {
    upstreamTaskId: id,
    upstreamTraceId: id,
    images: [{ id: imageId, index: 0, url: urlOf(id), seed: '1698551532', inferenceSeconds: 3.328 }],
    event: {
      type: 'TASK_SUCCEEDED',
      actor: ACTORS.callback,
      data: { deliveredCount: 1, imageIds: [imageId] },
    },
    jobs: [{ name: 'store-images', payload: { taskId: id } }],
    callback: { id: newId(), body: Buffer.from(bodyOf(id)) },
  };
}
