import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { CreateUploadDocument } from '../../../clients/operations.js';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';

const BODY_BYTES = 11 * 1024 * 1024;
const UPLOAD_ID = '01a224e7-ec33-71bb-8254-6f871a06be78';
const BOUNDARY = 'x-boundary-x';
const FORM = `multipart/form-data; boundary=${BOUNDARY}`;

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({ environment: { ROLES: 'api', MAX_IMAGE_BYTES: '200000' } });
});
afterAll(() => app.stop());

const open: Socket[] = [];
afterEach(() => open.splice(0).forEach((socket) => socket.destroy()));

/** Opens a connection and sends the head of a request. */
async function begin(head: string, headers: Record<string, string>): Promise<Socket> {
  const socket = connect({ port: Number(new URL(app.url).port), host: '127.0.0.1', allowHalfOpen: true });
  open.push(socket);
  await once(socket, 'connect');
  const lines = Object.entries({ host: 'x', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${head} HTTP/1.1\r\n${lines.join('')}\r\n`);
  return socket;
}

/** Sends everything before it reads, as many clients do. Returns the status, or the code of the error. */
async function sendThenRead(
  head: string,
  headers: Record<string, string>,
  body: Buffer,
): Promise<string | undefined> {
  const socket = await begin(head, { 'content-length': String(body.length), ...headers });
  socket.pause();
  const failed = new Promise<string>((resolve) =>
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(String(error.code))),
  );
  const sent = new Promise<void>((resolve) => socket.write(body, () => resolve()));
  const answered = sent.then(async () => {
    const arrived = once(socket, 'data') as Promise<[Buffer]>;
    socket.resume();
    const [bytes] = await arrived;
    return /^HTTP\/1.1 (\d+)/.exec(bytes.toString())?.[1];
  });
  answered.catch(() => undefined);
  return Promise.race([failed, answered]);
}

const REFUSALS: [request: string, status: string, options?: { type?: string; key?: true }][] = [
  [`POST /callbacks/flux/${UPLOAD_ID}/nonsense`, '401'],
  ['POST /graphql', '401'],
  ['POST /graphql/stream', '401'],
  ['POST /flux/images', '401'],
  ['POST /flux/tasks', '401'],
  [`PUT /uploads/${UPLOAD_ID}?t=nonsense`, '403'],
  [`POST /uploads/${UPLOAD_ID}?t=nonsense`, '403', { type: FORM }],
  ['POST /nowhere', '404'],
  ['POST /usage.csv', '404'],
  ['POST /graphql', '413', { key: true }],
  ['POST /graphql/stream', '413', { key: true }],
  ['POST /flux/images', '413', { key: true }],
  ['DELETE /graphql/stream', '405', { key: true }],
];

describe.each(['keep-alive', 'close'])(
  'with "connection: %s", a client that reads after it has sent 11 MB',
  (connection) => {
    test.each(REFUSALS)('to %s gets the status %s', async (head, status, { type, key } = {}) => {
      const headers = {
        connection,
        'content-type': type ?? 'application/json',
        ...(key && { authorization: `Bearer ${app.apiKey}` }),
      };
      expect(await sendThenRead(head, headers, Buffer.alloc(BODY_BYTES, ' '))).toBe(status);
    });
  },
);

test.each(['/graphql', '/graphql/stream', '/flux/images'])(
  'a body at %s that is announced as too large is refused before it is sent',
  async (path) => {
    const socket = await begin(`POST ${path}`, {
      'content-type': 'application/json',
      'content-length': String(BODY_BYTES),
      authorization: `Bearer ${app.apiKey}`,
    });
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    expect(bytes.toString()).toMatch(/^HTTP\/1.1 413 /);
  },
  20_000,
);

test.each(['/graphql', '/flux/images'])(
  'a body at %s without a length is refused as soon as it is too large',
  async (path) => {
    const socket = await begin(`POST ${path}`, {
      'content-type': 'application/json',
      'transfer-encoding': 'chunked',
      authorization: `Bearer ${app.apiKey}`,
    });
    socket.write(`200000\r\n${' '.repeat(0x200000)}\r\n`);
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    expect(bytes.toString()).toMatch(/^HTTP\/1.1 413 /);
  },
  20_000,
);

describe('a form without a file', () => {
  const field = (name: string, size: number) =>
    `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${'y'.repeat(size)}\r\n`;
  const uploadPath = async () => {
    const { createUpload } = await app.query(CreateUploadDocument, { input: {} });
    return pathAndQuery(createUpload.upload?.url);
  };

  test.each([
    ['100 fields of 100 kB', 100, 100_000],
    ['1,000 fields of 10 kB', 1_000, 10_000],
    ['a field of 3 MB', 1, 3_000_000],
    ['5 small fields', 5, 10],
  ])(
    'and with %s is refused',
    async (_what, count, size) => {
      const fields = Array.from({ length: count }, (_, n) => field(`f${n}`, size));
      const body = Buffer.from(`${fields.join('')}--${BOUNDARY}--\r\n`);
      const status = await sendThenRead(`POST ${await uploadPath()}`, { 'content-type': FORM }, body);
      expect(['400', '413']).toContain(status);
    },
    10_000,
  );

  test('is refused before it ends, when it exceeds the size of an image', async () => {
    const socket = await begin(`POST ${await uploadPath()}`, {
      'content-type': FORM,
      'transfer-encoding': 'chunked',
    });
    let head = '';
    socket.on('data', (bytes: Buffer) => (head += bytes.toString()));
    const chunk = field('f', 100_000);
    for (let n = 0; n < 30; n += 1) socket.write(`${chunk.length.toString(16)}\r\n${chunk}\r\n`);
    await waitFor('an answer', () => head !== '');
    expect(head).toMatch(/^HTTP\/1.1 413 /);
  }, 20_000);
});
