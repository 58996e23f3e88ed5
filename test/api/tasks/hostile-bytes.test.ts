import { Agent, request } from 'node:http';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import sharp from 'sharp';
import { CreateUploadDocument } from '../../../clients/operations.js';
import { Signer } from '../../../src/core/access/signer.js';
import { encode, type HostileBytes, hostileBytes, meaningOf } from '../../support/app/hostile-bytes.js';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';
import { RawWebSocket, type WebSocketMessage } from '../../support/events/raw-websocket.js';

/** `BYTES_FUZZ_RUNS=20000 BYTES_FUZZ_SEED=7 npm test -- test/api/tasks/hostile-bytes` tries more, or the same again. */
const RUNS = Number(process.env['BYTES_FUZZ_RUNS'] ?? 2_000);
const SEED = Number(process.env['BYTES_FUZZ_SEED'] ?? Date.now() % 1_000_000);
const MS_PER_RUN = 100;
const SECRET = 's'.repeat(40);
const GENERATE =
  'mutation Make($input: GenerateImagesInput!) { generateImages(input: $input) { task { id } userErrors { code } } }';
const FLUX_FIELDS = ['action', 'async', 'prompt', 'model', 'size', 'count', 'image_url', 'callback_url'];
const NOTHING = { literal: 'null' };
const READ = 'query Read($filter: TaskFilter) { tasks(first: 1, filter: $filter) { nodes { id } } }';

let app: TestApp;
let callbackPath: string;
let uploadPath: string;
let photo: Buffer;
let socket: RawWebSocket | null = null;
let lastTaskId = '00000000-0000-0000-0000-000000000000';
let lastCallbackId = lastTaskId;
const agent = new Agent({ keepAlive: true });

beforeAll(async () => {
  // Nothing is submitted, because this instance runs no jobs.
  const limits = { LIMITS_PER_KEY: 'none', LIMITS_PER_WORKSPACE: 'none' };
  app = await TestApp.start({ environment: { ROLES: 'api', SECRET_KEY: SECRET, ...limits } });
  const { id } = await app.generate({ prompt: 'called back' });
  const signature = new Signer(Buffer.from(SECRET)).sign('flux-callback', `${id}.1`);
  callbackPath = `/callbacks/flux/${id}/1.${signature}`;
  const { createUpload } = await app.query(CreateUploadDocument, { input: {} });
  uploadPath = pathAndQuery(createUpload.upload?.url);
  photo = await sharp({ create: { width: 2, height: 2, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  await newTasks();
});
afterAll(async () => {
  agent.destroy();
  socket?.cut();
  await app.stop();
});

interface Answer {
  status: number;
  text: string;
}

function send(
  method: string,
  path: string,
  { bytes, headers = {} }: { bytes?: Buffer; headers?: Record<string, string> },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const common = { 'content-type': 'application/json', authorization: `Bearer ${app.apiKey}` };
    const outgoing = request(app.url + path, {
      method,
      agent,
      headers: { ...common, ...headers },
    });
    outgoing.on('error', reject).on('response', (response) => {
      let text = '';
      const finish = () => resolve({ status: response.statusCode ?? 0, text });
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        // A stream of events does not end.
        if (path.startsWith('/events')) response.destroy();
      });
      response.on('end', finish).on('close', finish).on('error', finish);
    });
    outgoing.end(bytes);
  });
}

async function sendOverWebSocket(bytes: Buffer): Promise<Answer> {
  if (socket?.socket.readyState !== 1) socket = await RawWebSocket.openAcknowledged(app.url, app.apiKey);
  const current = socket;
  current.messages.length = 0;
  current.socket.send(bytes, { binary: false });
  // Answered after the message before it, unless that closed the socket.
  current.send({ type: 'ping' });
  const isEnd = ({ type }: WebSocketMessage) => type === 'complete' || type === 'error';
  const answered = new Promise<Answer>((resolve) => {
    const check = () => {
      const [message] = current.messages.filter(({ type }) => type === 'next' || type === 'error');
      const isIgnored = current.messages.some(({ type }) => type === 'pong') && !mayStart(bytes);
      if (!isIgnored && !current.messages.some(isEnd)) return;
      current.socket.off('message', check);
      resolve({ status: message?.type === 'next' ? 200 : 400, text: JSON.stringify(message ?? '') });
    };
    current.socket.on('message', check);
    check();
  });
  const closed = current.closed.then(({ code, reason }) => ({
    // Text that is not UTF-8, and a message that is longer than messages may be: nested values in UTF-16 can be.
    status: code >= 4400 || [1007, 1009].includes(code) ? 400 : code,
    text: reason,
  }));
  return Promise.race([answered, closed]);
}

/** A changed byte can make a message one that starts nothing, such as another type. */
function mayStart(bytes: Buffer): boolean {
  return /"subscribe"/.test(bytes.toString('latin1'));
}

const newTasks = async () => {
  const rows = await app.rows<{ id: string; prompt: string; metadata: string | null; key: string | null }>(
    'SELECT id, prompt, metadata::text AS metadata, idempotency_key AS key FROM tasks WHERE id > $1 ORDER BY id',
    [lastTaskId],
  );
  lastTaskId = rows.at(-1)?.id ?? lastTaskId;
  return rows;
};

const fieldsText = ({ fields }: HostileBytes) =>
  `"prompt":${fields.prompt},${fields.isRepeated ? '"prompt":"other",' : ''}"metadata":${fields.metadata}`;
const operationText = (one: HostileBytes) =>
  `{"query":${JSON.stringify(GENERATE)},"variables":{"input":{${fieldsText(one)}}},"operationName":""}`;

/** The members of an object as `meaningOf` returns it. */
const memberOf = (meaning: unknown, ...path: string[]): unknown =>
  path.reduce<unknown>((value, name) => {
    const { object = [] } = Object(value) as { object?: [string, unknown][] };
    return object.find(([key]) => key === name)?.[1];
  }, meaning);

/** Compares what was stored with what the bytes mean. */
async function expectKeptOrRefused(
  bytes: Buffer,
  { status, text }: Answer,
  inputPath: string[],
): Promise<boolean> {
  const made = await newTasks();
  const meaning = meaningOf(bytes);
  if (made.length === 0) {
    // A validation error of an operation that has run has status 200.
    const isRefusal = (status >= 400 && status < 500) || /userErrors":\[\{|"errors":\[/.test(text);
    expect({ isRefusal, status, text: isRefusal ? '' : text }).toEqual({ isRefusal: true, status, text: '' });
    return false;
  }
  expect(meaning).not.toBeNull();
  expect(made).toHaveLength(1);
  const [{ prompt, metadata } = { prompt: '', metadata: null }] = made;
  expect(prompt).toBe(memberOf(meaning, ...inputPath, 'prompt'));
  const stored = meaningOf(Buffer.from(metadata ?? 'null'));
  if (inputPath.length > 0) {
    expect(stored).toEqual(memberOf(meaning, ...inputPath, 'metadata') ?? NOTHING);
    return true;
  }
  const { object = [] } = meaning as { object?: [string, unknown][] };
  const unknown = object.filter(([name]) => !FLUX_FIELDS.includes(name));
  // Unknown fields of the REST API become metadata, unless they are too large.
  if (metadata === null) expect(unknown.length === 0 || bytes.length > 4_000).toBe(true);
  else expect(stored).toEqual({ object: unknown });
  return true;
}

/** Gives every field of a JSON text the name `k`, because a document cannot have most names. */
const withFieldName = (json: string, name: string) =>
  json.replace(/"(?:[^"\\]|\\.)*"(\s*:)?/gs, (text, colon?: string) => (colon ? `${name}:` : text));

const TRANSPORTS: Record<string, (one: HostileBytes) => Promise<boolean>> = {
  'POST /graphql': async (one) => {
    const bytes = encode(operationText(one), one);
    return expectKeptOrRefused(bytes, await send('POST', '/graphql', { bytes }), ['variables', 'input']);
  },
  'POST /graphql/stream': async (one) => {
    const bytes = encode(operationText(one), one);
    return expectKeptOrRefused(bytes, await send('POST', '/graphql/stream', { bytes }), [
      'variables',
      'input',
    ]);
  },
  WebSocket: async (one) => {
    const bytes = encode(`{"id":"1","type":"subscribe","payload":${operationText(one)}}`, one);
    // The answer to another ID is not waited for.
    if (memberOf(meaningOf(bytes), 'id') !== undefined && memberOf(meaningOf(bytes), 'id') !== '1')
      return false;
    return expectKeptOrRefused(bytes, await sendOverWebSocket(bytes), ['payload', 'variables', 'input']);
  },
  'POST /flux/images': async (one) => {
    const bytes = encode(`{"action":"generate","async":true,${fieldsText(one)}}`, one);
    // Without `async` the request would wait for a result that never comes.
    if (
      meaningOf(bytes) !== null &&
      JSON.stringify(memberOf(meaningOf(bytes), 'async')) !== '{"literal":"true"}'
    )
      return false;
    return expectKeptOrRefused(bytes, await send('POST', '/flux/images', { bytes }), []);
  },
  'the sandbox': async (one) => {
    const bytes = encode(`{"action":"generate","async":true,${fieldsText(one)}}`, one);
    const meaning = meaningOf(bytes);
    // Without `async` it would answer when the image is painted.
    if (meaning !== null && JSON.stringify(memberOf(meaning, 'async')) !== '{"literal":"true"}') return false;
    const { status, text } = await send('POST', '/sandbox/flux/images', { bytes });
    if (status !== 200) {
      expect([400, 413]).toContain(status);
      return false;
    }
    const { task_id: id } = JSON.parse(text) as { task_id: string };
    const retrieve = Buffer.from(JSON.stringify({ action: 'retrieve', id }));
    const { text: task } = await send('POST', '/sandbox/flux/tasks', { bytes: retrieve });
    expect(memberOf(meaningOf(Buffer.from(task)), 'request', 'prompt')).toBe(memberOf(meaning, 'prompt'));
    return true;
  },
  'a literal in a document': async (one) => {
    const { prompt, metadata } = one.fields;
    const query = `mutation { generateImages(input: { prompt: ${prompt}, metadata: ${withFieldName(metadata, 'k')} }) { task { id } userErrors { code } } }`;
    const answer = await send('POST', '/graphql', { bytes: Buffer.from(JSON.stringify({ query })) });
    const meant = Buffer.from(`{"prompt":${prompt},"metadata":${withFieldName(metadata, '"k"')}}`);
    const made = await newTasks();
    if (made.length === 0) {
      expect(answer.text).toMatch(/errors":\[|userErrors":\[\{/i);
      expect(answer.status).toBeLessThan(500);
      return false;
    }
    const stored = Buffer.from(
      `{"prompt":${JSON.stringify(made[0]?.prompt)},"metadata":${made[0]?.metadata}}`,
    );
    expect(meaningOf(stored)).toEqual(meaningOf(meant));
    return true;
  },
  'query strings': async (one) => {
    const percent = (bytes: Buffer) =>
      [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
    const variables = encode(`{"filter":{"search":${one.fields.prompt}}}`, one);
    const path = one.byte % 2 === 0 ? '/graphql' : '/graphql/stream';
    const read = await send(
      'GET',
      `${path}?query=${encodeURIComponent(READ)}&variables=${percent(variables)}`,
      {},
    );
    const filter = encode(one.fields.prompt.slice(1, -1) || 'x', one);
    const events = await send('GET', `/events?taskIds=${percent(filter)}`, {});
    expect(read.status).toBeLessThan(500);
    expect(events.status).toBeLessThan(500);
    if (meaningOf(variables) === null && variables.length > 0) expect(read.status).toBe(400);
    expect(await newTasks()).toEqual([]);
    return read.status === 200;
  },
  headers: async (one) => {
    const key = encode(one.fields.prompt.slice(1, -1), one)
      .toString('latin1')
      // Node sends no control characters in a header.
      // eslint-disable-next-line no-control-regex -- as above
      .replace(/[\x00-\x1f\x7f]/g, '')
      .trim();
    const bytes = Buffer.from(`{"action":"generate","async":true,"prompt":"x"}`);
    const { status } = await send('POST', '/flux/images', { bytes, headers: { 'idempotency-key': key } });
    expect(status).toBeLessThan(500);
    const made = await newTasks();
    if (made.length > 0) expect(Buffer.from(made[0]?.key ?? '').toString('latin1')).toBe(key);
    return status === 200;
  },
  callbacks: async (one) => {
    const bytes = encode(`{"note":${one.fields.prompt},"task_id":"t","data":${one.fields.metadata}}`, one);
    const encoding = ['gzip', 'br', 'zstd', null][one.byte % 4] ?? null;
    const headers: Record<string, string> = encoding ? { 'content-encoding': encoding } : {};
    const { status } = await send('POST', callbackPath, { bytes, headers });
    expect([200, 400]).toContain(status);
    const rows = await app.rows<{ id: string; body: Buffer }>(
      'SELECT id, body FROM callbacks WHERE id > $1 ORDER BY id',
      [lastCallbackId],
    );
    lastCallbackId = rows.at(-1)?.id ?? lastCallbackId;
    expect(rows.map(({ body }) => body)).toEqual([bytes]);
    await newTasks();
    return status === 200;
  },
  uploads: async (one) => {
    const part = (name: Buffer, body: Buffer, file = '') =>
      Buffer.concat([
        Buffer.from('--b\r\ncontent-disposition: form-data; name="'),
        name,
        Buffer.from(`"${file}\r\n\r\n`),
        body,
        Buffer.from('\r\n'),
      ]);
    const text = encode(one.fields.prompt, one);
    const name = Buffer.from(text.toString('latin1').replace(/["\r\n]/g, ''), 'latin1');
    const bytes = Buffer.concat([
      part(name, text),
      part(name, photo, '; filename="x.png"'),
      Buffer.from('--b--\r\n'),
    ]);
    const { status, text: answer } = await send('POST', uploadPath, {
      bytes,
      headers: { 'content-type': 'Multipart/Form-Data; boundary=b' },
    });
    expect(status).toBeLessThan(500);
    if (status === 201) expect(JSON.parse(answer)).toMatchObject({ image: { width: 2, height: 2 } });
    expect(await newTasks()).toEqual([]);
    return status === 201;
  },
};

test(
  `${RUNS} requests with any bytes, over every transport, are refused as a whole or kept exactly (BYTES_FUZZ_SEED=${SEED})`,
  async () => {
    const names = Object.keys(TRANSPORTS);
    const accepted = new Map(names.map((name) => [name, 0]));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), hostileBytes, async (name, one) => {
        if (await TRANSPORTS[name]?.(one)) accepted.set(name, (accepted.get(name) ?? 0) + 1);
      }),
      { seed: SEED, numRuns: RUNS },
    );
    // Otherwise the property would hold for requests that are all refused.
    for (const [name, count] of accepted) expect([name, count > 0]).toEqual([name, true]);
  },
  60_000 + RUNS * MS_PER_RUN,
);
