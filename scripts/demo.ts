/**
 * `npm run demo`: starts the service on a free port and in a temporary folder, watches two pictures being made and one of
 * them being edited, downloads them, and prints the history. Everything but the pictures is gone afterwards.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type TypedDocumentNode } from '@graphql-typed-document-node/core';
import { print } from 'graphql';
import { createClient, type Client } from 'graphql-ws';
import WebSocket from 'ws';
import {
  EditImageDocument,
  GenerateImagesDocument,
  TaskHistoryDocument,
  TaskUpdatedDocument,
  type TaskFieldsFragment,
} from '../clients/operations.js';

const PICTURES = resolve('demo-pictures');
const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));
const startedAt = Date.now();

const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-demo-'));
const service = spawn(process.execPath, [MAIN], {
  env: { PATH: process.env.PATH, PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'warn' },
  stdio: ['ignore', 'pipe', 'inherit'],
});
try {
  say('starting Postgres and the service in a temporary folder');
  const { url, key } = await readGreeting(service);
  say(`listening at ${url}/graphql, the sandbox is the upstream`);
  await demonstrate(url, key);
} finally {
  service.kill('SIGTERM');
  if (service.exitCode === null) await once(service, 'exit');
  await rm(dataDir, { recursive: true, force: true });
}
say('done; the service was stopped and its temporary folder removed');

async function demonstrate(url: string, key: string): Promise<void> {
  const authorization = `Bearer ${key}`;
  const socket = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
  });
  const ask = <Data, Variables>(document: TypedDocumentNode<Data, Variables>, variables: Variables) =>
    request(`${url}/graphql`, authorization, document, variables);

  const prompt = 'a lighthouse above a calm sea, first light';
  say(`generateImages: two pictures of "${prompt}"`);
  const { generateImages } = await ask(GenerateImagesDocument, {
    input: { prompt, count: 2, size: '1024x768' },
  });
  const generated = await watch(socket, taken(generateImages));
  await download(generated, 'generated');

  const [source] = generated.images;
  if (!source) throw new Error('The task has no pictures.');
  const wish = 'make it a stormy night';
  say(`editImage: "${wish}", from the first of them`);
  const { editImage } = await ask(EditImageDocument, { input: { prompt: wish, sourceImageId: source.id } });
  const edited = await watch(socket, taken(editImage));
  await download(edited, 'edited');
  await socket.dispose();

  const { task } = await ask(TaskHistoryDocument, { id: edited.id });
  console.log(`\nThe history of the edit, as Postgres has it (task ${edited.id}):\n`);
  for (const event of task?.events.nodes ?? []) {
    console.log(
      `  ${event.at}  ${event.type.padEnd(16)} by ${event.actor.padEnd(18)} ${JSON.stringify(event.data)}`,
    );
  }
  console.log();
}

/** Prints each event as it is pushed; resolves with the task when the stream completes. */
async function watch(socket: Client, task: TaskFieldsFragment): Promise<TaskFieldsFragment> {
  let latest = task;
  const query = print(TaskUpdatedDocument);
  for await (const result of socket.iterate<{
    taskUpdated: { type: string; actor: string; task: TaskFieldsFragment };
  }>({
    query,
    variables: { id: task.id, after: task.cursor },
  })) {
    const event = result.data?.taskUpdated;
    if (!event) throw new Error(JSON.stringify(result.errors));
    latest = event.task;
    say(`  pushed ${event.type.padEnd(16)} ${latest.status.padEnd(10)} (${event.actor})`);
  }
  if (latest.status !== 'SUCCEEDED')
    throw new Error(`The task ended as ${latest.status}: ${latest.error?.message}`);
  return latest;
}

async function download(task: TaskFieldsFragment, name: string): Promise<void> {
  await mkdir(PICTURES, { recursive: true });
  for (const image of task.images) {
    const response = await fetch(image.url);
    if (!response.ok) throw new Error(`${image.url} answered ${response.status}`);
    const file = join(PICTURES, `${name}-${image.index + 1}.png`);
    await writeFile(file, Buffer.from(await response.arrayBuffer()));
    say(`  saved ${file} (${image.width}x${image.height}, ${Math.round((image.byteSize ?? 0) / 1024)} kB)`);
  }
}

async function readGreeting(child: ChildProcess): Promise<{ url: string; key: string }> {
  if (!child.stdout) throw new Error('The service has no output.');
  let url: string | undefined;
  for await (const line of createInterface(child.stdout)) {
    url ??= /listens at (http\S+)\/graphql/.exec(line)?.[1];
    const key = /\bdk_\w+/.exec(line)?.[0];
    if (url && key) {
      child.stdout.resume();
      return { url, key };
    }
  }
  throw new Error('The service ended before it listened; the reason is above.');
}

async function request<Data, Variables>(
  url: string,
  authorization: string,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization },
    body: JSON.stringify({ query: print(document), variables }),
  });
  const { data, errors } = (await response.json()) as { data?: Data; errors?: unknown };
  if (!data || errors) throw new Error(`GraphQL answered ${JSON.stringify(errors)}`);
  return data;
}

function taken(payload: {
  task?: TaskFieldsFragment | null;
  userErrors: { message: string }[];
}): TaskFieldsFragment {
  if (!payload.task) throw new Error(payload.userErrors.map((error) => error.message).join(' '));
  return payload.task;
}

function say(text: string): void {
  console.log(`${((Date.now() - startedAt) / 1000).toFixed(1).padStart(5)} s  ${text}`);
}
