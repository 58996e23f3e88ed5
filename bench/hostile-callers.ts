/**
 * The ordinary callers of hostile.ts. Arguments: `[url, api key]`. They create tasks and read them again, in turn and at a steady rate.
 * One subscriber must receive an event of every created task.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { quantile } from './support/bench.js';
import { GraphqlClient } from './support/graphql-client.js';
import { helperArgs, serveCommands } from './support/helper.js';
import { type LoadResult, openLoop } from './support/load.js';
import { GENERATE_MUTATION, type GenerateImagesResult, PROMPT } from './support/new-task.js';
import { openSubscriber } from './support/subscriber-socket.js';

export interface CallersCommand {
  seconds: number;
  perSecond: number;
}

export interface CallersResult extends LoadResult {
  /** Calls that failed, or whose connection was cut. */
  failedCount: number;
  /** From when a task was due to be created until the subscriber has its first event. */
  eventP99Ms: number;
}

const CONNECTIONS = 16;
/** Events that have not arrived by then are lost. */
const EVENT_TIMEOUT_MS = 5_000;
const EVENT_POLL_MS = 10;
const SUBSCRIBE = 'subscription { taskEvents(filter: { types: [TASK_REQUESTED] }) { task { id } } }';
const READ_TASK = 'query Task($id: ID!) { task(id: $id) { id status prompt createdAt } }';

const [url = '', apiKey = ''] = helperArgs();
const client = new GraphqlClient(url, apiKey, CONNECTIONS);
/** When each task was created, and when its event arrived. */
const createdAt = new Map<string, number>();
const eventAt = new Map<string, number>();
let lastId = '';
let failedCount = 0;

const create = async () => {
  const startedAt = performance.now();
  const { generateImages } = await client.query<GenerateImagesResult>(GENERATE_MUTATION, {
    input: { prompt: PROMPT },
  });
  if (!generateImages.task) throw new Error(generateImages.userErrors[0]?.message);
  lastId = generateImages.task.id;
  createdAt.set(lastId, startedAt);
};
const read = async () => {
  const { task } = await client.query<{ task: object | null }>(READ_TASK, { id: lastId });
  if (!task) throw new Error(`The task ${lastId} was created and cannot be read.`);
};

/** An attack may make calls fail, which is a result as well. Their time counts like that of the others. */
const counted = (call: () => Promise<void>) => () =>
  call().catch((error: unknown) => {
    failedCount += 1;
    console.error(`A call failed: ${String(error)}`);
  });

await openSubscriber(`${url}/graphql`, { apiKey, query: SUBSCRIBE, variables: {} }, (text) => {
  const id = /"task":\{"id":"([^"]+)"/.exec(text.toString())?.[1];
  if (!id) throw new Error(`The subscriber received ${text.toString()}.`);
  eventAt.set(id, performance.now());
});
await create();

serveCommands(async ({ seconds, perSecond }: CallersCommand): Promise<CallersResult> => {
  createdAt.clear();
  failedCount = 0;
  const load = await openLoop([counted(create), counted(read)], seconds, perSecond);
  const deadline = performance.now() + EVENT_TIMEOUT_MS;
  const missing = () => [...createdAt.keys()].filter((id) => !eventAt.has(id)).length;
  while (missing() > 0 && performance.now() < deadline) await pause(EVENT_POLL_MS);
  if (missing() > 0) throw new Error(`The subscriber missed ${missing()} of ${createdAt.size} events.`);
  const delays = [...createdAt].map(([id, at]) => (eventAt.get(id) ?? NaN) - at);
  return { ...load, failedCount, eventP99Ms: quantile(delays, 0.99) };
});
