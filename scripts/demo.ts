/**
 * `npm run demo`: starts the service on a free port with a temporary folder, generates two images, uploads one and edits it twice,
 * downloads them all, and prints the lineage and the history. Afterwards only the downloaded images remain.
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
  ImageLineageDocument,
  type ImageLineageQuery,
  TaskHistoryDocument,
  TaskUpdatedDocument,
  type TaskFieldsFragment,
} from '../clients/operations.js';
import { SHUTDOWN_MESSAGE } from '../src/app/shutdown-request.js';

const OUTPUT_DIR = resolve('demo-images');
const MAIN_FILE = fileURLToPath(new URL('../src/main.js', import.meta.url));
const startedAt = Date.now();

const dataDir = await mkdtemp(join(tmpdir(), 'darkroom-demo-'));
const service = spawn(process.execPath, [MAIN_FILE], {
  env: { PATH: process.env.PATH, PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'warn', UV_THREADPOOL_SIZE: '16' },
  // Over the channel, it is asked to stop. A signal would kill it on Windows, and its PostgreSQL would keep running.
  stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  windowsHide: true,
});
// Ctrl-C reaches the service too. Then the demo fails, and cleans up.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK'] as const) process.on(signal, stopService);
try {
  log('starting PostgreSQL and the service in a temporary folder');
  const { url, key } = await readStartupMessage(service);
  log(`listening at ${url}/graphql, the sandbox is the upstream`);
  await runDemo(url, key);
} finally {
  stopService();
  if (service.exitCode === null && service.signalCode === null) await once(service, 'exit');
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
}
log('done: stopped the service and removed its temporary folder');

function stopService(): void {
  if (service.connected) service.send(SHUTDOWN_MESSAGE);
}

async function runDemo(url: string, key: string): Promise<void> {
  const authorization = `Bearer ${key}`;
  const socket = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
  });
  const execute = <Data, Variables>(document: TypedDocumentNode<Data, Variables>, variables: Variables) =>
    executeGraphql(`${url}/graphql`, authorization, document, variables);

  const prompt = 'a lighthouse above a calm sea, first light';
  log(`generateImages: two images of "${prompt}"`);
  const { generateImages } = await execute(GenerateImagesDocument, {
    input: { prompt, count: 2, size: '1024x768' },
  });
  const generated = await followTask(socket, taskOrThrow(generateImages));
  await download(generated, 'generated');

  log('createUpload: an image of your own, a sunset');
  const uploaded = await upload(await execute(CreateUploadDocument, { input: { fileName: 'sunset.png' } }));
  let source = uploaded;
  let edited = generated;
  for (const editPrompt of ['make it a stormy night', 'now cover it with snow']) {
    log(`editImage: "${editPrompt}", from ${source === uploaded ? 'the upload' : 'the previous edit'}`);
    const { editImage } = await execute(EditImageDocument, {
      input: { prompt: editPrompt, sourceImageId: source },
    });
    edited = await followTask(socket, taskOrThrow(editImage));
    await download(edited, source === uploaded ? 'edited' : 'edited-again');
    source = edited.images[0]?.id ?? '';
  }
  await socket.dispose();

  console.log('\nThe lineage:\n');
  let imageId: string | undefined = uploaded;
  for (let depth = 0; imageId; depth += 1) {
    const { image }: ImageLineageQuery = await execute(ImageLineageDocument, {
      id: imageId,
      width: 256,
      format: 'WEBP',
    });
    console.log(`  ${'  '.repeat(depth)}${image?.id}  ${image?.url}`);
    imageId = image?.edits.nodes[0]?.id;
  }

  const { task } = await execute(TaskHistoryDocument, { id: edited.id });
  console.log(`\nThe history of the last edit (task ${edited.id}):\n`);
  for (const event of task?.events.nodes ?? []) {
    console.log(
      `  ${event.at}  ${event.type.padEnd(16)} by ${event.actor.padEnd(18)} ${JSON.stringify(event.data)}`,
    );
  }
  console.log();
}

/** Prints each event as it is pushed. Returns the task when the stream completes. */
async function followTask(socket: Client, task: TaskFieldsFragment): Promise<TaskFieldsFragment> {
  let latest = task;
  const query = print(TaskUpdatedDocument);
  for await (const result of socket.iterate<{
    taskUpdated: { type: string; actor: string; task: TaskFieldsFragment };
  }>({
    query,
    variables: { id: task.id, after: task.eventCursor },
  })) {
    const event = result.data?.taskUpdated;
    if (!event) throw new Error(JSON.stringify(result.errors));
    latest = event.task;
    log(`  pushed ${event.type.padEnd(16)} ${latest.status.padEnd(10)} (${event.actor})`);
  }
  if (latest.status !== 'SUCCEEDED')
    throw new Error(`The task finished with status ${latest.status}: ${latest.error?.message}`);
  return latest;
}

async function download(task: TaskFieldsFragment, name: string): Promise<void> {
  await mkdir(OUTPUT_DIR, { recursive: true });
  for (const image of task.images) {
    const response = await fetch(image.url);
    if (!response.ok) throw new Error(`${image.url} returned status ${response.status}`);
    const file = join(OUTPUT_DIR, `${name}-${image.index + 1}.png`);
    await writeFile(file, Buffer.from(await response.arrayBuffer()));
    log(`  saved ${file} (${image.width}x${image.height}, ${Math.round((image.byteSize ?? 0) / 1024)} kB)`);
  }
}

/** Uploads an image to the signed link, as a browser does. Returns the ID of the new image. */
async function upload({ createUpload }: CreateUploadMutation): Promise<string> {
  if (!createUpload.upload) throw new Error(createUpload.userErrors.map(({ message }) => message).join(' '));
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="768" height="512">
    <linearGradient id="sky" x2="0" y2="1"><stop stop-color="#2b2d6b"/><stop offset=".7" stop-color="#f28c5a"/></linearGradient>
    <rect width="768" height="512" fill="url(#sky)"/><circle cx="384" cy="360" r="70" fill="#ffe0a3"/>
    <rect y="380" width="768" height="132" fill="#1b2444"/></svg>`;
  const bytes = await sharp(Buffer.from(svg)).png().toBuffer();
  const response = await fetch(createUpload.upload.url, { method: 'PUT', body: new Uint8Array(bytes) });
  const { image } = (await response.json()) as { image?: { id: string; width: number; height: number } };
  if (!image) throw new Error(`The upload returned status ${response.status}.`);
  log(`  uploaded ${image.id} (${image.width}x${image.height})`);
  return image.id;
}

async function readStartupMessage(child: ChildProcess): Promise<{ url: string; key: string }> {
  if (!child.stdout) throw new Error('The service has no output.');
  let url: string | undefined;
  for await (const line of createInterface(child.stdout)) {
    url ??= /listening at (http\S+)\/graphql/.exec(line)?.[1];
    const key = /\bdk_\w+/.exec(line)?.[0];
    if (url && key) {
      child.stdout.resume();
      return { url, key };
    }
  }
  throw new Error('The service exited before it was listening. See the output above for the reason.');
}

async function executeGraphql<Data, Variables>(
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
  if (!data || errors) throw new Error(`The GraphQL request failed: ${JSON.stringify(errors)}`);
  return data;
}

function taskOrThrow(payload: {
  task?: TaskFieldsFragment | null;
  userErrors: { message: string }[];
}): TaskFieldsFragment {
  if (!payload.task) throw new Error(payload.userErrors.map((error) => error.message).join(' '));
  return payload.task;
}

function log(text: string): void {
  console.log(`${((Date.now() - startedAt) / 1000).toFixed(1).padStart(5)} s  ${text}`);
}
