/**
 * The load process of latency.ts. It sends and receives, so that there is only one clock. With the arguments
 * `[push, url of A, url of B, api key, ids, secret]` it posts callbacks to A and subscribes to the tasks at B. With
 * `[notify, database url]` it inserts rows and listens for their notifications.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { Pool } from 'undici';
import { WebSocket } from 'ws';
import { Signer } from '../src/core/access/signer.js';
import { helperArgs, serveCommands } from './support/helper.js';
import { callbackBody, callbackPath } from './support/running-tasks.js';

export interface LatencyCommand {
  seconds: number;
  /** Null: as many as can be sent. */
  perSecond: number | null;
}

/** Simulated browser pages and the subscriptions of each. */
const SOCKETS = 200;
const TASKS_PER_SOCKET = 5;
/** More than are ever in progress at a quarter of the floor's rate, so that no request waits in this process. */
const CONNECTIONS = 32;
/** Events that have not arrived by then are lost. The service's safety polls take 2 s. */
const ARRIVAL_TIMEOUT_MS = 5_000;
/** Subscriptions are not acknowledged, so wait this long for them. */
const SUBSCRIBE_WAIT_MS = 2_000;
const SUBSCRIBE = `subscription TaskUpdated($id: ID!) {
  taskUpdated(id: $id) { type cursor task { id status deliveredCount images { id url } } }
}`;
const INSERT = {
  name: 'floor',
  text: `with written as (insert into floor_events (id, body) values ($1, $2) returning id)
         select pg_notify('floor', id::text) from written`,
};

const sentAt = new Map<string, number>();
let latencies: number[] = [];
const [kind, ...args] = helperArgs();
const send = kind === 'push' ? await startPush(args) : await startNotify(args);

/** Returns the latency of each event in milliseconds. */
serveCommands(async ({ seconds, perSecond }: LatencyCommand): Promise<number[]> => {
  latencies = [];
  const start = performance.now();
  const calls =
    perSecond === null
      ? Array.from({ length: CONNECTIONS }, async () => {
          while (performance.now() - start < seconds * 1000) await send();
        })
      : Array.from({ length: Math.round(seconds * perSecond) }, async (_, index) => {
          await pause(start + (index * 1000) / perSecond - performance.now());
          await send();
        });
  await Promise.all(calls);
  for (const end = performance.now() + ARRIVAL_TIMEOUT_MS; sentAt.size > 0 && performance.now() < end;)
    await pause(20);
  if (sentAt.size > 0) throw new Error(`${sentAt.size} events never arrived.`);
  return latencies;
});

function recordArrival(id: string): void {
  const at = sentAt.get(id);
  if (at !== undefined) latencies.push(performance.now() - at);
  sentAt.delete(id);
}

async function startPush([apiUrl = '', pushUrl = '', apiKey = '', file = '', secret = '']: string[]) {
  const ids = JSON.parse(readFileSync(file, 'utf8')) as string[];
  const subscribedIds: string[] = [];
  /** Subscribes to the next task without a subscription. */
  const subscribe = (socket: WebSocket) => {
    const id = ids.pop();
    if (id === undefined) throw new Error('No running tasks are left.');
    subscribedIds.push(id);
    socket.send(JSON.stringify({ id, type: 'subscribe', payload: { query: SUBSCRIBE, variables: { id } } }));
  };
  const onMessage = (socket: WebSocket, text: string) => {
    const { id, type } = JSON.parse(text) as { id?: string; type: string };
    if (type === 'connection_ack') for (let n = 0; n < TASKS_PER_SOCKET; n += 1) subscribe(socket);
    if (type === 'error') throw new Error(`A subscription was refused: ${text}`);
    if (type !== 'next' || !id) return;
    recordArrival(id);
    socket.send(JSON.stringify({ id, type: 'complete' }));
    subscribe(socket);
  };
  for (let count = 0; count < SOCKETS; count += 1) {
    const socket = new WebSocket(`${pushUrl.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    socket.on('close', (code) => {
      throw new Error(`A subscriber's socket was closed with ${code}.`);
    });
    socket.on('message', (text: Buffer) => onMessage(socket, text.toString()));
    await new Promise((resolve) => socket.on('open', resolve));
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${apiKey}` } }));
  }
  await pause(SUBSCRIBE_WAIT_MS);

  const pool = new Pool(apiUrl, { connections: CONNECTIONS, pipelining: 1 });
  const signer = new Signer(Buffer.from(secret));
  const headers = { 'content-type': 'application/json' };
  return async () => {
    const id = subscribedIds.shift() ?? ''; // subscribed five seconds ago
    const request = {
      path: callbackPath(signer, id),
      method: 'POST' as const,
      headers,
      body: callbackBody(id),
    };
    sentAt.set(id, performance.now());
    const { statusCode, body } = await pool.request(request);
    await body.dump();
    if (statusCode !== 200) throw new Error(`A callback got status ${statusCode}.`);
  };
}

async function startNotify([databaseUrl]: string[]) {
  const listener = new pg.Client({ connectionString: databaseUrl });
  listener.on('error', () => process.exit(1)); // the server was stopped
  listener.on('notification', ({ payload }) => recordArrival(payload ?? ''));
  await listener.connect();
  await listener.query('create table floor_events (id uuid primary key, body text not null)');
  await listener.query('listen floor');
  const pool = new pg.Pool({ connectionString: databaseUrl, max: CONNECTIONS });
  pool.on('error', () => process.exit(1));
  return async () => {
    const id = randomUUID();
    const values = [id, callbackBody(id)];
    sentAt.set(id, performance.now());
    await pool.query({ ...INSERT, values });
  };
}
