/** The client process of held-requests.ts. Arguments: `[url, api key]`. Each request has its own connection. */
import { Agent, request } from 'node:http';
import { helperArgs, serveCommands } from './support/helper.js';

export type ClientsCommand =
  /** Sends this many more requests. */
  | { sendRequests: number }
  /** Waits for the responses to all requests. */
  | { waitForResponses: true };

const [url = '', apiKey = ''] = helperArgs();
const agent = new Agent({ keepAlive: false, maxSockets: Infinity });
const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
const requestBody = JSON.stringify({ action: 'generate', prompt: 'a white siamese cat', size: '256x256' });
const statuses: Promise<number>[] = [];

/** Returns the statuses of all responses after `waitForResponses`, and nothing otherwise. */
serveCommands(async (command: ClientsCommand): Promise<number[]> => {
  if ('waitForResponses' in command) return Promise.all(statuses);
  await Promise.all(Array.from({ length: command.sendRequests }, sendRequest));
  return [];
});

/** Resolves when the request was sent. */
async function sendRequest(): Promise<void> {
  const message = request(`${url}/flux/images`, { method: 'POST', agent, headers });
  const status = new Promise<number>((resolve, reject) => {
    message.on('error', reject);
    message.on('response', (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? NaN));
    });
  });
  status.catch(() => undefined);
  statuses.push(status);
  await new Promise<void>((resolve) => message.end(requestBody, resolve));
}
