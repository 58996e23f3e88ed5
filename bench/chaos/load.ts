import { setTimeout as pause } from 'node:timers/promises';
import { request } from 'undici';
import { type TaskPlan, TaskPlanner } from './task-plan.js';

/** What the client asked for and what it was told. */
export interface AskedTask extends TaskPlan {
  idempotencyKey: string;
  /** The task's id as it was answered; null: never acknowledged. */
  taskId: string | null;
  /** Answers after the first that named another task. */
  otherIds: string[];
}

export interface LoadOptions {
  seed: number;
  seconds: number;
  rate: number;
  /** Of the load balancer. */
  url: string;
  apiKey: string;
  /** Where the results are to be posted. */
  callbackUrl: string;
  /** Whether the upstream is refusing with 429 at this moment. */
  inBurst: () => boolean;
  signal: AbortSignal;
}

/** From the creation of a task to its deadline. Three times the longest outage, and the end waits for the last of them. */
export const TASK_TIMEOUT_SECONDS = 45;

/** The smallest that the default model takes: what is tried here is bookkeeping, not painting. */
const SIZE = '256x256';
/** An impatient client: shorter than a stopped instance is stopped, so that repetitions overtake first tries. */
const REQUEST_TIMEOUT_MS = 3_000;
const ASK_AGAIN_MS = 250;
/** A client gives up after this long, and nothing was promised to it. Longer than any fault. */
const GIVE_UP_MS = 30_000;
/** One acknowledged task in so many is asked for once more: a repetition must name the same task. */
const REPEAT_EVERY = 10;

const MUTATION = `mutation Chaos($input: GenerateImagesInput!) {
  generateImages(input: $input) { task { id } userErrors { code message } }
}`;

interface Answer {
  data?: {
    generateImages: { task: { id: string } | null; userErrors: { code: string; message: string }[] };
  } | null;
}

/** Asks for tasks at a steady rate, as an honest client does: with a key, again and again until it is told of a task. */
export async function runLoad(options: LoadOptions, asked: AskedTask[]): Promise<void> {
  const total = Math.round(options.seconds * options.rate);
  const planner = new TaskPlanner(options.seed, total);
  const startedAt = Date.now();
  const clients: Promise<void>[] = [];
  for (let number = 0; number < total && !options.signal.aborted; number += 1) {
    await pause(Math.max(0, startedAt + (number * 1000) / options.rate - Date.now()));
    const plan = planner.next(options.inBurst());
    const task = { ...plan, idempotencyKey: `chaos-${plan.number}`, taskId: null, otherIds: [] };
    asked.push(task);
    const client = askUntilAcknowledged(options, task);
    client.catch(() => undefined); // it is told at the end
    clients.push(client);
  }
  await Promise.all(clients);
}

async function askUntilAcknowledged(options: LoadOptions, task: AskedTask): Promise<void> {
  const deadline = Date.now() + GIVE_UP_MS;
  let repetitions = task.number % REPEAT_EVERY === 0 ? 1 : 0;
  while (Date.now() < deadline && !options.signal.aborted) {
    const id = await ask(options, task).catch((error: unknown) => {
      if (error instanceof Refused) throw error;
      return null;
    });
    if (id !== null) {
      task.taskId ??= id;
      if (id !== task.taskId) task.otherIds.push(id);
      if (repetitions === 0) return;
      repetitions -= 1;
    }
    await pause(ASK_AGAIN_MS);
  }
}

/** The service understood the request and does not take it: the harness is at fault, and asking again is pointless. */
class Refused extends Error {}

async function ask(
  { url, apiKey, callbackUrl }: LoadOptions,
  { prompt, count, idempotencyKey }: AskedTask,
): Promise<string | null> {
  const fixed = { callbackUrl, size: SIZE, timeoutSeconds: TASK_TIMEOUT_SECONDS };
  const input = { prompt, count, idempotencyKey, ...fixed };
  const { statusCode, body } = await request(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
    body: JSON.stringify({ query: MUTATION, variables: { input } }),
    // A new connection each time: the balancer chooses an instance by connection.
    reset: true,
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  });
  const answer = (await body.json()) as Answer;
  const payload = statusCode === 200 ? answer.data?.generateImages : null;
  const [refusal] = payload?.userErrors ?? [];
  if (refusal) throw new Refused(`generateImages was refused: ${refusal.code}: ${refusal.message}`);
  return payload?.task?.id ?? null;
}
