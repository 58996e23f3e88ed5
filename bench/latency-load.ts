/**
 * Both sides of latency.ts, each in a process of its own that sends and receives, so that there is one clock:
 * `[push, url of A, url of B, api key, ids, secret]` posts callbacks to A and watches the tasks at B, and `[notify, database
 * url]` writes rows and listens.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { Pool } from 'undici';
import { WebSocket } from 'ws';
import { Signer } from '../src/core/access/signer.js';
import { helperArgs, serveOrders } from './support/helper.js';
import { callbackBody, callbackPath } from './support/running-tasks.js';

export interface LatencyOrder {
  seconds: number;
  perSecond: number;
}

/** Open pages, and what each of them watches. */
const SOCKETS = 200;
const WATCHED_BY_EACH = 5;
/** More than are ever under way at 200 a second: nothing waits for its turn here. */
const CONNECTIONS = 32;
/** What has not arrived by then is lost; the service's nets take 2 s. */
const LOST_MS = 5_000;
/** A subscription has no acknowledgement. */
const SUBSCRIBED_MS = 2_000;
const WATCH = `subscription Watch($id: ID!) {
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

/** Milliseconds from sending to receiving, of everything that was sent. */
serveOrders(async ({ seconds, perSecond }: LatencyOrder): Promise<number[]> => {
  latencies = [];
  const start = performance.now();
  const calls = Array.from({ length: Math.round(seconds * perSecond) }, async (_, index) => {
    await pause(start + (index * 1000) / perSecond - performance.now());
    await send();
  });
  await Promise.all(calls);
  for (const end = performance.now() + LOST_MS; sentAt.size > 0 && performance.now() < end;) await pause(20);
  if (sentAt.size > 0) throw new Error(`${sentAt.size} of ${calls.length} never arrived.`);
  return latencies;
});

function received(id: string): void {
  const at = sentAt.get(id);
  if (at !== undefined) latencies.push(performance.now() - at);
  sentAt.delete(id);
}

async function startPush([door = '', pushing = '', apiKey = '', file = '', secret = '']: string[]) {
  const ids = JSON.parse(readFileSync(file, 'utf8')) as string[];
  const watched: string[] = [];
  /** The next task that nobody watches yet. */
  const watch = (socket: WebSocket) => {
    const id = ids.pop();
    if (id === undefined) throw new Error('There are no running tasks left.');
    watched.push(id);
    socket.send(JSON.stringify({ id, type: 'subscribe', payload: { query: WATCH, variables: { id } } }));
  };
  const onMessage = (socket: WebSocket, text: string) => {
    const { id, type } = JSON.parse(text) as { id?: string; type: string };
    if (type === 'connection_ack') for (let n = 0; n < WATCHED_BY_EACH; n += 1) watch(socket);
    if (type === 'error') throw new Error(`A subscription was refused: ${text}`);
    if (type !== 'next' || !id) return;
    received(id);
    socket.send(JSON.stringify({ id, type: 'complete' }));
    watch(socket);
  };
  for (let count = 0; count < SOCKETS; count += 1) {
    const socket = new WebSocket(`${pushing.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    socket.on('close', (code) => {
      throw new Error(`A watcher was closed with ${code}.`);
    });
    socket.on('message', (text: Buffer) => onMessage(socket, text.toString()));
    await new Promise((resolve) => socket.on('open', resolve));
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${apiKey}` } }));
  }
  await pause(SUBSCRIBED_MS);

  const pool = new Pool(door, { connections: CONNECTIONS, pipelining: 1 });
  const signer = new Signer(Buffer.from(secret));
  const headers = { 'content-type': 'application/json' };
  return async () => {
    const id = watched.shift() ?? ''; // watched for five seconds by now
    const request = {
      path: callbackPath(signer, id),
      method: 'POST' as const,
      headers,
      body: callbackBody(id),
    };
    sentAt.set(id, performance.now());
    const { statusCode, body } = await pool.request(request);
    await body.dump();
    if (statusCode !== 200) throw new Error(`A callback was answered ${statusCode}.`);
  };
}

async function startNotify([databaseUrl]: string[]) {
  const listener = new pg.Client({ connectionString: databaseUrl });
  listener.on('error', () => process.exit(1)); // the server was stopped under us
  listener.on('notification', ({ payload }) => received(payload ?? ''));
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
