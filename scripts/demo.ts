/**
 * `npm run demo`: starts the service on a free port and in a temporary folder, watches two pictures being made, uploads
 * one and edits it twice, downloads them, and prints the lineage and the history. Everything but the pictures is gone afterwards.
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
import sharp from 'sharp';
import WebSocket from 'ws';
import {
  CreateUploadDocument,
  type CreateUploadMutation,
  EditImageDocument,
  GenerateImagesDocument,
  LineageDocument,
  type LineageQuery,
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

  say('createUpload: a picture of your own, a sunset drawn on the spot');
  const uploaded = await upload(await ask(CreateUploadDocument, { input: { fileName: 'sunset.png' } }));
  let source = uploaded;
  let edited = generated;
  for (const wish of ['make it a stormy night', 'now cover it with snow']) {
    say(`editImage: "${wish}", from ${source === uploaded ? 'the upload' : 'the edit before'}`);
    const { editImage } = await ask(EditImageDocument, { input: { prompt: wish, sourceImageId: source } });
    edited = await watch(socket, taken(editImage));
    await download(edited, source === uploaded ? 'edited' : 'edited-again');
    source = edited.images[0]?.id ?? '';
  }
  await socket.dispose();

  console.log('\nThe lineage:\n');
  let line: string | undefined = uploaded;
  for (let depth = 0; line; depth += 1) {
    const { image }: LineageQuery = await ask(LineageDocument, { id: line, width: 256, format: 'WEBP' });
    console.log(`  ${'  '.repeat(depth)}${image?.id}  ${image?.url}`);
    line = image?.edits.nodes[0]?.id;
  }

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

/** Sends a picture to the link, as a browser does; the id of the image that it made. */
async function upload({ createUpload }: CreateUploadMutation): Promise<string> {
  if (!createUpload.upload) throw new Error(createUpload.userErrors.map(({ message }) => message).join(' '));
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="768" height="512">
    <linearGradient id="sky" x2="0" y2="1"><stop stop-color="#2b2d6b"/><stop offset=".7" stop-color="#f28c5a"/></linearGradient>
    <rect width="768" height="512" fill="url(#sky)"/><circle cx="384" cy="360" r="70" fill="#ffe0a3"/>
    <rect y="380" width="768" height="132" fill="#1b2444"/></svg>`;
  const bytes = await sharp(Buffer.from(svg)).png().toBuffer();
  const response = await fetch(createUpload.upload.url, { method: 'PUT', body: new Uint8Array(bytes) });
  const { image } = (await response.json()) as { image?: { id: string; width: number; height: number } };
  if (!image) throw new Error(`The upload was answered ${response.status}.`);
  say(`  uploaded ${image.id} (${image.width}x${image.height})`);
  return image.id;
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
