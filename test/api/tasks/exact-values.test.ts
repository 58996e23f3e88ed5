import { request } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { RawWebSocket } from '../../support/events/raw-websocket.js';
import { fluxClientFor } from '../../support/flux-api/flux-servers.js';
import { TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';

const GENERATE =
  'mutation Make($input: GenerateImagesInput!) { generateImages(input: $input) { task { id } userErrors { code } } }';
const BOM = '\uFEFF';

let upstream: FakeUpstream;
let app: TestApp;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  app = await TestApp.start({ environment: upstream.environment });
});
afterAll(async () => {
  await app.stop();
  await upstream.close();
});

interface Answer {
  status: number;
  text: string;
}

/** What a transport answers to the bytes of a request. For a WebSocket, a status stands for `error` and for a close code. */
type Send = (bytes: Buffer) => Promise<Answer>;

async function post(
  path: string,
  bytes: Buffer,
  headers: Record<string, string | string[]> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(app.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${app.apiKey}`, ...headers },
    });
    outgoing.on('error', reject).on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
      );
    });
    outgoing.end(bytes);
  });
}

async function sendOverWebSocket(bytes: Buffer): Promise<Answer> {
  const raw = await RawWebSocket.openAcknowledged(app.url, app.apiKey);
  raw.socket.send(bytes, { binary: false });
  const first = await Promise.race([
    raw.closed.then(({ code, reason }) => ({
      status: code === 4400 || code === 1007 ? 400 : code,
      text: reason,
    })),
    raw.waitForMessage('error', '1').then(({ payload }) => ({ status: 400, text: JSON.stringify(payload) })),
    raw.waitForMessage('next', '1').then(({ payload }) => ({ status: 200, text: JSON.stringify(payload) })),
  ]);
  raw.cut();
  return first;
}

const operation = (input: string) => `{"query":${JSON.stringify(GENERATE)},"variables":{"input":${input}}}`;
const input = (fields: string) => `{"model":"flux-dev",${fields}}`;
/** Each makes a request from the text of a few JSON fields, and sends its bytes. */
const TRANSPORTS: [name: string, toText: (fields: string) => string, send: Send][] = [
  ['POST /graphql', (fields) => operation(input(fields)), (bytes) => post('/graphql', bytes)],
  ['POST /graphql/stream', (fields) => operation(input(fields)), (bytes) => post('/graphql/stream', bytes)],
  [
    'the WebSocket',
    (fields) => `{"type":"subscribe","id":"1","payload":${operation(input(fields))}}`,
    sendOverWebSocket,
  ],
  [
    'POST /flux/images',
    (fields) => `{"action":"generate","async":true,${fields}}`,
    (bytes) => post('/flux/images', bytes),
  ],
];

async function taskCount(): Promise<number> {
  const [row] = await app.rows<{ count: number }>('SELECT count(*)::int AS count FROM tasks');
  return row?.count ?? 0;
}
const tasksWithPrompt = (prompt: string) =>
  app.rows<{ metadata: unknown }>('SELECT metadata FROM tasks WHERE prompt = $1', [prompt]);

describe.each(TRANSPORTS)('%s', (name, toText, send) => {
  test.each<[string, Buffer, RegExp]>([
    [
      'Latin-1',
      Buffer.from(toText('"prompt":"M\xfcnchen"'), 'latin1'),
      new RegExp(`not valid UTF-8 at byte ${toText('"prompt":"M\xfcnchen"').indexOf('\xfc')} \\(0xFC\\)`),
    ],
    [
      'a character without its last byte',
      Buffer.from(toText('"prompt":"\xe7\x8c"'), 'latin1'),
      /not valid UTF-8 at byte \d+ \(0xE7\)/,
    ],
    [
      'a lone surrogate',
      Buffer.from(toText('"prompt":"half \\ud83d"')),
      /lone surrogate .*\\ud83d\) at byte \d+/,
    ],
    ['half a name', Buffer.from(toText('"prompt":"x","metadata":{"\\udc00":1}')), /lone surrogate/],
    [
      'a large integer',
      Buffer.from(toText('"prompt":"x","metadata":{"seed":12345678901234567890}')),
      /12345678901234567890/,
    ],
    ['a field twice', Buffer.from(toText('"prompt":"x","prompt":"y"')), /twice/],
  ])('refuses %s with 400, says where it is, and makes nothing', async (_what, bytes, message) => {
    const before = await taskCount();
    const { status, text } = await send(bytes);
    expect(status).toBe(400);
    expect(text).toMatch(message);
    expect(await taskCount()).toBe(before);
  });

  test.each([
    ['a byte order mark', BOM, { seed: 9007199254740991, name: 'größe' }],
    ['no byte order mark', '', { emoji: '👩‍👩‍👧', '\u2028': [0.1, -1e-7, true, null] }],
  ])('keeps every character and number, with %s', async (what, mark, metadata) => {
    const prompt = `猫 \u200b👩‍👩‍👧 "${what}" over ${name}`;
    const fields = `"prompt":${JSON.stringify(prompt)},"metadata":${JSON.stringify(metadata)}`;
    const { status, text } = await send(Buffer.from(mark + toText(fields)));
    expect({ status, text }).toEqual({ status: 200, text: expect.not.stringContaining('errors') as unknown });
    const [task] = await tasksWithPrompt(prompt);
    expect(task?.metadata).toEqual(name === 'POST /flux/images' ? { metadata } : metadata);
  });

  test.each(['\u200b\u200b', '\ufeff\u2060 \u00ad', '\u3164'])(
    'refuses the invisible prompt %j',
    async (prompt) => {
      const before = await taskCount();
      const { text } = await send(Buffer.from(toText(`"prompt":${JSON.stringify(prompt)}`)));
      expect(text).toMatch(/INVALID_PROMPT|bad_request/);
      expect(await taskCount()).toBe(before);
    },
  );
});

describe('a GraphQL document', () => {
  const literal = (metadata: string) =>
    `mutation { generateImages(input: { prompt: "literal", metadata: ${metadata} }) { task { metadata } userErrors { code } } }`;
  const run = async (query: string) => (await post('/graphql', Buffer.from(JSON.stringify({ query })))).text;

  test.each([
    ['{ seed: 9007199254740993 }', 'cannot keep the number 9007199254740993 exactly'],
    ['[1e400]', 'cannot keep the number 1e400 exactly'],
    ['{ color: RED }', 'has no value RED'],
  ])('is refused if a literal cannot be kept: %s', async (metadata, message) => {
    const before = await taskCount();
    expect(await run(literal(metadata))).toContain(message);
    expect(await taskCount()).toBe(before);
  });

  test('keeps other literals', async () => {
    const metadata = '{ a: [1, -0.5, 9007199254740991, "9007199254740993", true, null], b: "\\u{1F600}" }';
    expect(await run(literal(metadata))).toContain(
      '"metadata":{"a":[1,-0.5,9007199254740991,"9007199254740993",true,null],"b":"😀"}',
    );
  });

  test.each(['POST /graphql', 'POST /graphql/stream', 'the WebSocket'])(
    'runs over %s with an empty operation name',
    async (name) => {
      const send = TRANSPORTS.find(([transport]) => transport === name)?.[2] ?? sendOverWebSocket;
      const payload = { query: 'query A { viewer { keyName } }', operationName: '', variables: null };
      const message = name === 'the WebSocket' ? { type: 'subscribe', id: '1', payload } : payload;
      expect((await send(Buffer.from(JSON.stringify(message)))).text).toContain('first key');
    },
  );

  test('runs in a query string with empty parameters, and is refused if it is not UTF-8', async () => {
    const authorization = `Bearer ${app.apiKey}`;
    const query = encodeURIComponent('query A { viewer { keyName } }');
    for (const path of ['/graphql', '/graphql/stream']) {
      const headers = { authorization, 'content-type': 'application/json' };
      const get = (search: string) => app.get(`${path}?${search}`, headers);
      const empty = await get(`query=${query}&operationName=&variables=&extensions=`);
      expect([empty.status, empty.bytes.toString()]).toEqual([200, expect.stringContaining('first key')]);
      const broken = await get(`query=${query}&variables=%7B%22a%22%3A%22%FC%22%7D`);
      expect([broken.status, broken.bytes.toString()]).toEqual([
        400,
        expect.stringContaining('The parameter `variables` is not valid UTF-8 at byte 6 (0xFC)'),
      ]);
      expect((await get(`query=${query}&variables=%7B%22a%22%3A9007199254740993%7D`)).status).toBe(400);
    }
  });
});

describe('the header Idempotency-Key', () => {
  const keyed = (prompt: string, key: string | string[]) =>
    post('/graphql', Buffer.from(operation(input(`"prompt":"${prompt}"`))), { 'idempotency-key': key });

  test('is kept as the UTF-8 that it is', async () => {
    await keyed('keyed', Buffer.from('größe').toString('latin1'));
    const rows = await app.rows("SELECT idempotency_key FROM tasks WHERE prompt = 'keyed'");
    expect(rows).toEqual([{ idempotency_key: 'größe' }]);
  });

  test('is refused if it is Latin-1, or if it is sent twice', async () => {
    const before = await taskCount();
    for (const key of ['gr\xf6\xdfe', ['one', 'two']])
      expect(await keyed('not keyed', key)).toMatchObject({ status: 400 });
    expect(await taskCount()).toBe(before);
  });
});

describe('a WebSocket', () => {
  test.each([
    ['headers', (key: string) => ({ headers: { Authorization: `Bearer ${key}` } })],
    ['headers in lower case', (key: string) => ({ headers: { authorization: `Bearer ${key}` } })],
    ['capital letters', (key: string) => ({ AUTHORIZATION: `bearer ${key}` })],
  ])('accepts a key in the %s of connectionParams', async (_where, payloadOf) => {
    const raw = await RawWebSocket.open(app.url);
    raw.send({ type: 'connection_init', payload: payloadOf(app.apiKey) });
    await raw.waitForMessage('connection_ack');
    raw.cut();
  });

  test('keeps its other operations when one is refused for its bytes', async () => {
    const raw = await RawWebSocket.openAcknowledged(app.url, app.apiKey);
    raw.subscribe('other');
    raw.send(
      '{"type":"subscribe","id":"1","payload":{"query":"{ __typename }","variables":{"a":"\\ud800"}}}',
    );
    const { payload } = await raw.waitForMessage('error', '1');
    expect(payload).toMatchObject([{ extensions: { code: 'BAD_REQUEST' } }]);
    raw.send('{"type":"subscribe","id":"1","payload":{"query":"{ __typename }"}}');
    await raw.waitForMessage('complete', '1');
    raw.cut();
  });

  test('closes after a ping whose payload is too deep to be sent back', async () => {
    const raw = await RawWebSocket.open(app.url);
    raw.send(`{"type":"ping","payload":{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}}`);
    expect(await raw.closed).toMatchObject({ code: 4400 });
    expect((await app.get('/healthz')).status).toBe(200);
  });
});

test('media types are compared without regard to case', async () => {
  const bytes = Buffer.from(JSON.stringify({ query: '{ viewer { keyName } }' }));
  for (const type of [
    'Application/JSON',
    'APPLICATION/JSON; Charset="UTF-8"',
    'application/json;charset=utf8',
  ])
    expect(await post('/graphql', bytes, { 'content-type': type })).toMatchObject({ status: 200 });
  expect(await post('/graphql', bytes, { 'content-type': 'application/json; charset=latin1' })).toMatchObject(
    {
      status: 400,
    },
  );
});

describe('a callback', () => {
  async function callBack(prompt: string, bytes: Buffer, headers: Record<string, string> = {}) {
    const { body } = await fluxClientFor(app).images({ action: 'generate', prompt, async: true });
    const id = String(body.task_id);
    const { status } = await post(await upstream.callbackPath(prompt), bytes, headers);
    const rows = await app.rows<{ body: Buffer; verdict: string }>(
      'SELECT body, verdict FROM callbacks WHERE task_id = $1',
      [id],
    );
    return { id, status, rows };
  }
  const result = (fields: string) =>
    `{"success":true,"task_id":"t","data":[{"image_url":"${upstream.imageUrl('one')}",${fields}}]}`;

  test.each<[string, () => Buffer]>([
    ['with Latin-1 in it', () => Buffer.from(result('"prompt":"M\xfcnchen","seed":7'), 'latin1')],
    ['with a byte order mark', () => Buffer.from(BOM + result('"seed":7'))],
    ['in UTF-16', () => Buffer.from(BOM + result('"seed":7'), 'utf16le')],
    [
      'with NaN and a line break in a string',
      () => Buffer.from(result('"seed":7,"timings":NaN,"prompt":"a\nb"')),
    ],
  ])('%s is kept as it was sent, and its image is stored', async (what, bytesOf) => {
    const bytes = bytesOf();
    const { id, status, rows } = await callBack(`called back ${what}`, bytes);
    expect({ status, rows }).toEqual({
      status: 200,
      rows: [{ body: bytes, verdict: expect.any(String) as unknown }],
    });
    expect(await app.waitUntilSettled(id)).toMatchObject({ status: 'SUCCEEDED', images: [{ seed: '7' }] });
  });

  test('reports a seed beyond 2^53 with all of its digits, everywhere', async () => {
    const bytes = Buffer.from(result('"seed":12345678901234567890'));
    const { id } = await callBack('with a large seed', bytes);
    expect(await app.waitUntilSettled(id)).toMatchObject({ images: [{ seed: '12345678901234567890' }] });
    const { body } = await fluxClientFor(app).tasks({ action: 'retrieve', id });
    expect(body).toMatchObject({ response: { data: [{ seed: '12345678901234567890' }] } });
  });

  test.each<[string, Buffer, Record<string, string>, Buffer | null]>([
    ['is not compressed although it says so', Buffer.from('{"error":'), { 'content-encoding': 'gzip' }, null],
    ['only begins as brotli does', Buffer.from('9"error":1}'), { 'content-encoding': 'br' }, null],
    ['is compressed in an unknown way', Buffer.from([1, 2, 3]), { 'content-encoding': 'zstd' }, null],
    ['is compressed', gzipSync('{"error":'), { 'content-encoding': 'GZIP' }, Buffer.from('{"error":')],
    ['has an unknown charset', Buffer.from([0xff, 0, 0xfe]), { 'content-type': 'x; charset=klingon' }, null],
  ])('that %s is kept even if it is no result', async (what, bytes, headers, stored) => {
    const { status, rows } = await callBack(`called back, and it ${what}`, bytes, headers);
    expect({ status, rows }).toEqual({
      status: 400,
      rows: [{ body: stored ?? bytes, verdict: 'MALFORMED' }],
    });
  });
});

test.each<[string, (reply: string) => Buffer]>([
  ['a byte order mark', (reply) => Buffer.from(BOM + reply)],
  ['Latin-1', (reply) => Buffer.from(reply.replace('{', '{"note":"M\xfcnchen",'), 'latin1')],
])('a reply to a submission with %s is no lost task', async (what, bytesOf) => {
  upstream.onSubmit = (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(bytesOf(`{"task_id":"replied ${what}"}`));
  };
  const { id } = await app.generate({ prompt: `answered with ${what}` });
  await app.waitForEvent(id, 'TASK_SUBMITTED');
  const rows = await app.rows('SELECT status, upstream_task_id FROM tasks WHERE id = $1', [id]);
  expect(rows).toEqual([{ status: 'RUNNING', upstream_task_id: `replied ${what}` }]);
});
