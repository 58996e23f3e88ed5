import { setTimeout as pause } from 'node:timers/promises';
import { request } from 'undici';
import { CHAOS_MODEL } from './budgets.js';
import { type TaskPlan, TaskPlanner } from './task-plan.js';

/** A task that the client requested, and the responses. */
export interface RequestedTask extends TaskPlan {
  idempotencyKey: string;
  /** The acknowledged task ID. Null if the request was never acknowledged. */
  taskId: string | null;
  /** Task IDs of later responses that differ from the first. */
  otherIds: string[];
}

export interface LoadOptions {
  seed: number;
  seconds: number;
  rate: number;
  /** URL of the load balancer. */
  url: string;
  /** Returns the API key that is valid at present. */
  apiKey: () => string;
  /** Where the service posts the results. */
  webhookUrl: string;
  signal: AbortSignal;
}

/** From the creation of a task to its deadline. More than three times the longest outage. The run waits for the last deadline. */
export const TASK_TIMEOUT_SECONDS = 45;

/** The smallest image, because this tests bookkeeping: with 256 x 256 pixels, the sandbox painted for longer than it takes to store. */
export const IMAGE = { model: CHAOS_MODEL, size: '64x64' };
/** An impatient client: shorter than the pause of an instance, so that a repeated request can overtake the first. */
const REQUEST_TIMEOUT_MS = 3_000;
const RETRY_DELAY_MS = 250;
/** A client gives up after this long, without an acknowledgement. Longer than several outages of PostgreSQL that follow each other. */
const GIVE_UP_MS = 60_000;
/** One in this many acknowledged requests is repeated. The response must name the same task. */
const REPEAT_EVERY = 10;
/** Tasks are requested in bursts of this size, so that an instance writes some of them in one transaction. */
const BURST = 8;
/** One in this many requests is sent twice at the same moment. Both responses must name the same task. */
const TWIN_EVERY = 6;

const MUTATION = `mutation Chaos($input: GenerateImagesInput!) {
  generateImages(input: $input) { task { id } userErrors { code message } }
}`;

interface GenerateImagesResponse {
  data?: {
    generateImages: { task: { id: string } | null; userErrors: { code: string; message: string }[] };
  } | null;
}

/** Requests tasks at a steady rate, in bursts. Repeats each request with its idempotency key until it is acknowledged. */
export async function runLoad(options: LoadOptions, requestedTasks: RequestedTask[]): Promise<void> {
  const total = Math.round(options.seconds * options.rate);
  const planner = new TaskPlanner(options.seed, total);
  const startedAt = Date.now();
  const clients: Promise<void>[] = [];
  for (let number = 0; number < total && !options.signal.aborted; number += 1) {
    const dueAt = startedAt + ((number - (number % BURST)) * 1000) / options.rate;
    await pause(Math.max(0, dueAt - Date.now()));
    const plan = planner.next();
    const task = {
      ...plan,
      idempotencyKey: `chaos-${options.seed}-${plan.number}`,
      taskId: null,
      otherIds: [],
    };
    requestedTasks.push(task);
    const client = requestUntilAcknowledged(options, task);
    client.catch(() => undefined); // Promise.all below reports it
    clients.push(client);
  }
  await Promise.all(clients);
}

async function requestUntilAcknowledged(options: LoadOptions, task: RequestedTask): Promise<void> {
  const deadline = Date.now() + GIVE_UP_MS;
  let remainingRepeats = task.number % REPEAT_EVERY === 0 ? 1 : 0;
  while (Date.now() < deadline && !options.signal.aborted) {
    const requests = Array.from({ length: task.number % TWIN_EVERY === 0 ? 2 : 1 }, () =>
      requestTask(options, task).catch((error: unknown) => {
        if (error instanceof RequestRefused) throw error;
        return null;
      }),
    );
    const ids = (await Promise.all(requests)).filter((id) => id !== null);
    for (const id of ids) {
      task.taskId ??= id;
      if (id !== task.taskId) task.otherIds.push(id);
    }
    if (ids.length > 0) {
      if (remainingRepeats === 0) return;
      remainingRepeats -= 1;
    }
    await pause(RETRY_DELAY_MS);
  }
}

/** The service refused the request as invalid. That is an error of this program, and a retry cannot help. */
class RequestRefused extends Error {}

async function requestTask(
  { url, apiKey, webhookUrl }: LoadOptions,
  { prompt, count, idempotencyKey }: RequestedTask,
): Promise<string | null> {
  const constantInput = { webhookUrl, ...IMAGE, timeoutSeconds: TASK_TIMEOUT_SECONDS };
  const input = { prompt, count, idempotencyKey, ...constantInput };
  const { statusCode, body } = await request(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey()}` },
    body: JSON.stringify({ query: MUTATION, variables: { input } }),
    // Use a new connection each time, because the load balancer chooses an instance per connection.
    reset: true,
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  });
  const response = (await body.json()) as GenerateImagesResponse;
  const payload = statusCode === 200 ? response.data?.generateImages : null;
  const [userError] = payload?.userErrors ?? [];
  if (userError)
    throw new RequestRefused(`generateImages was refused: ${userError.code}: ${userError.message}`);
  return payload?.task?.id ?? null;
}
