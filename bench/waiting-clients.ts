/** The clients of waiting.ts, in a process of their own: `[url, api key]`. Each waits on a connection of its own. */
import { Agent, request } from 'node:http';
import { helperArgs, serveOrders } from './support/helper.js';

export type ClientsOrder =
  /** So many more begin to wait. */
  | { begin: number }
  /** Answered when everybody is. */
  | { answered: true };

const [url = '', apiKey = ''] = helperArgs();
const agent = new Agent({ keepAlive: false, maxSockets: Infinity });
const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
const wish = JSON.stringify({ action: 'generate', prompt: 'a white siamese cat', size: '256x256' });
const answers: Promise<number>[] = [];

/** The statuses of those that were answered. */
serveOrders(async (order: ClientsOrder): Promise<number[]> => {
  if ('answered' in order) return Promise.all(answers);
  await Promise.all(Array.from({ length: order.begin }, begin));
  return [];
});

/** Resolves when the request is on its way. */
async function begin(): Promise<void> {
  const message = request(`${url}/flux/images`, { method: 'POST', agent, headers });
  const answer = new Promise<number>((resolve, reject) => {
    message.on('error', reject);
    message.on('response', (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? NaN));
    });
  });
  answer.catch(() => undefined);
  answers.push(answer);
  await new Promise<void>((resolve) => message.end(wish, resolve));
}
