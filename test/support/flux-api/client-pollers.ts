/** How a client reads a task of `/flux/tasks`. */
export type PolledStatus = 'pending' | 'succeeded' | 'failed';

type Json = Record<string, unknown>;
interface PolledTask {
  state?: string;
  status?: string;
  response?: Json;
  finished_at?: unknown;
}

const MAX_DEPTH = 6;
const DONE_WORDS = ['succeed', 'succeeded', 'success', 'completed', 'complete', 'finished'];
const FAILED_WORDS = ['failed', 'failure', 'error', 'cancelled', 'canceled', 'rejected'];

/** The values under the keys that match, as the SDKs search for them. */
function valuesIn(node: unknown, isWanted: (key: string, value: string) => boolean, depth = 0): string[] {
  if (depth > MAX_DEPTH || typeof node !== 'object' || node === null) return [];
  return Object.entries(node).flatMap(([key, value]) =>
    typeof value === 'string' && isWanted(key, value) ? [value] : valuesIn(value, isWanted, depth + 1),
  );
}

const linksIn = (node: unknown) =>
  valuesIn(node, (key, value) => value.startsWith('http') && /^url$|_urls?$/.test(key));

/** The links that the SDKs (Python, TypeScript and Go) return as the result: those of the response, or of the task without one. */
export function linksForSdk(task: Json): string[] {
  return [...new Set(linksIn(task.response ?? task))];
}

/** Whether Python takes the value for true. An empty object is false. */
function isTrueInPython(value: unknown): boolean {
  return typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : Boolean(value);
}

/** Each client's rule for the end of a task, from its public source in 2026. */
export const CLIENT_POLLERS: Readonly<Record<string, (task: Json) => PolledStatus>> = {
  'the SDKs': (task) => {
    const reply = (task.response ?? task) as Json;
    const links = linksForSdk(task);
    const words = valuesIn(reply, (key) => key === 'state' || key === 'status').map((word) =>
      word.toLowerCase(),
    );
    if (words.some((word) => FAILED_WORDS.includes(word))) return 'failed';
    if (words.some((word) => DONE_WORDS.includes(word))) return links.length > 0 ? 'succeeded' : 'failed';
    if (words.length > 0) return 'pending';
    const hasCode = Boolean((reply.error as Json | null | undefined)?.code);
    if (reply.success === false && (links.length > 0 || hasCode)) return 'failed';
    const isFinished = (reply.finished_at ?? task.finished_at ?? null) !== null;
    if (isFinished && typeof reply.success === 'boolean') return reply.success ? 'succeeded' : 'failed';
    return links.length > 0 ? 'succeeded' : 'pending';
  },
  // It cannot tell a failure: it prints the task.
  'the wait command of the command line tool': (task) => {
    const { state, status, finished_at, response } = task as PolledTask;
    const word =
      (state ?? status ?? '') || (isTrueInPython(finished_at) || isTrueInPython(response) ? 'completed' : '');
    if (!['succeeded', 'completed', 'complete', 'failed', 'error'].includes(word)) return 'pending';
    return word === 'failed' || word === 'error' || response?.success === false ? 'failed' : 'succeeded';
  },
  'the MCP server': (task) => {
    const { state = '', response = {} } = task as PolledTask;
    if (['complete', 'completed', 'succeeded', 'success'].includes(state) || response.success === true)
      return 'succeeded';
    const isFailed = FAILED_WORDS.includes(state) || response.success === false;
    return isFailed ? 'failed' : 'pending';
  },
  "the loop of the provider's guide": (task) => {
    const { response } = task as PolledTask;
    // The guide reads the link of the first item without a look whether there is one.
    if (response?.success === true) return Array.isArray(response.data) ? 'succeeded' : 'failed';
    return response?.error ? 'failed' : 'pending';
  },
  'the n8n node': (task) => {
    const { response = {}, finished_at } = task as PolledTask;
    if (response.success === false || response.error) return 'failed';
    const hasData = (response.data ?? null) !== null;
    return hasData && (response.success === true || finished_at) ? 'succeeded' : 'pending';
  },
  'the Langflow component': (task) => {
    const { response, finished_at } = task as PolledTask;
    if (response?.success === false || response?.error) return 'failed';
    const isDone = (finished_at && isTrueInPython(response)) || linksIn(response ?? task).length > 0;
    return isDone ? 'succeeded' : 'pending';
  },
  'the playground': (task) => {
    const { response } = task as PolledTask;
    if (response?.success === true) return 'succeeded';
    return response?.success === false ? 'failed' : 'pending';
  },
  'a client that waits for `data`': (task) => {
    const { response } = task as PolledTask;
    if (response?.error) return 'failed';
    return Array.isArray(response?.data) && response.data.length > 0 ? 'succeeded' : 'pending';
  },
};
