import { randomBytes } from 'node:crypto';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { getIntrospectionQuery } from 'graphql';

/** What the attackers know of the service. */
export interface HostileTarget {
  port: number;
  /** Null for attackers without a key, who leave out the kinds that need one. */
  apiKey: string | null;
  /** Paths with a valid signature, such as those of an upstream callback and of an upload. */
  callbackPath?: string;
  uploadPath?: string;
}

/** The behavior of one connection. */
export interface Hostility {
  /** What the connection sends first. */
  opening: string | Buffer;
  /** What it sends again and again. */
  more?: () => string | Buffer;
  /** Does not read what the service sends. */
  neverReads?: true;
}

/** Returns null if the attackers lack what it takes. */
export type HostileKind = (target: HostileTarget) => Hostility | null;

/** Bodies and messages that never end are sent in pieces of this size. */
const CHUNK = Buffer.alloc(16_384, 'x');
const CALLBACK_BYTES = 10_000_000;
const COMPLETE_CALLBACK = Buffer.alloc(CALLBACK_BYTES, ' ');
const UNFINISHED_JSON_BYTES = 1_000_000;
const TEXT_FRAME = 0x81;
const PING_FRAME = 0x89;
const LONG_PAYLOAD_BYTES = 60_000;
const bomb = (windowBits: number) =>
  brotliCompressSync(Buffer.alloc(256 * 1024 * 1024, ' '), {
    params: { [constants.BROTLI_PARAM_QUALITY]: 5, [constants.BROTLI_PARAM_LGWIN]: windowBits },
  });
/** Decompresses to a million times its size. */
const BOMB = bomb(22);
/** Brotli's largest window. */
const LARGE_WINDOW_BOMB = bomb(24);
/** A kilobyte that decompresses to a megabyte of JSON that is refused for its number of values. */
const BRACKETS = gzipSync(`{"query":"{__typename}","unused":[${'{},'.repeat(349_000)}1]}`);
/** The same of one text, which takes as long to read as any. */
const ESCAPES = gzipSync(JSON.stringify({ query: '{__typename}', unused: '"'.repeat(500_000) }));
const LARGE_QUERY = { query: getIntrospectionQuery() };
const SUBSCRIPTION = { query: 'subscription { taskEvents { id data task { id prompt } } }' };

const guess = () => randomBytes(16).toString('hex');
const anyId = () => `01a224e7-ec33-71bb-8254-${randomBytes(6).toString('hex')}`;
const bearer = (apiKey: string | null): string[] => (apiKey ? [`Authorization: Bearer ${apiKey}`] : []);

function head(line: string, headers: readonly string[] = []): string {
  return [`${line} HTTP/1.1`, 'Host: a', ...headers, '', ''].join('\r\n');
}

function post(path: string, length: number, headers: readonly string[] = []): string {
  return head(`POST ${path}`, ['Content-Type: application/json', `Content-Length: ${length}`, ...headers]);
}

/** A whole request. */
function postBody(path: string, body: string | Buffer, headers: readonly string[] = []): Buffer {
  return Buffer.concat([Buffer.from(post(path, Buffer.byteLength(body), headers)), Buffer.from(body)]);
}

const UPGRADE_HEADERS = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Protocol: graphql-transport-ws',
];
const upgrade = (): string =>
  head('GET /graphql', [...UPGRADE_HEADERS, `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`]);

/** A frame of a client. Its mask consists of zeros, so that the content stays as it is. */
function frame(opcode: number, content: string, announcedBytes = content.length): Buffer {
  const length =
    announcedBytes < 126
      ? Buffer.from([0x80 | announcedBytes])
      : Buffer.from([0x80 | 126, announcedBytes >> 8, announcedBytes & 0xff]);
  return Buffer.concat([Buffer.from([opcode]), length, Buffer.alloc(4), Buffer.from(content)]);
}

const message = (value: object): Buffer => frame(TEXT_FRAME, JSON.stringify(value));
const largePing = message({ type: 'ping', payload: { text: 'x'.repeat(LONG_PAYLOAD_BYTES) } });
/** A WebSocket whose key is accepted. */
const initialize = (apiKey: string): Buffer =>
  Buffer.concat([
    Buffer.from(upgrade()),
    message({ type: 'connection_init', payload: { authorization: `Bearer ${apiKey}` } }),
  ]);

/** Each row of the table of buffers in docs/SECURITY.md is attacked by at least one kind. */
export const HOSTILE_KINDS: Readonly<Record<string, HostileKind>> = {
  'silent connection': () => ({ opening: '' }),
  'headers that never end': () => ({
    opening: 'GET / HTTP/1.1\r\nHost: a\r\n',
    more: () => `X-${guess()}: ${guess()}\r\n`,
  }),
  'body at /graphql without a key': () => ({ opening: post('/graphql', CALLBACK_BYTES), more: () => CHUNK }),
  'body at /flux/images without a key': () => ({
    opening: post('/flux/images', CALLBACK_BYTES),
    more: () => CHUNK,
  }),
  'callback body with a guessed token': () => ({
    opening: post(`/callbacks/flux/${anyId()}/${guess()}`, CALLBACK_BYTES),
    more: () => CHUNK,
  }),
  'whole callback body with a guessed token': () => ({
    opening: Buffer.concat([
      Buffer.from(post(`/callbacks/flux/${anyId()}/${guess()}`, CALLBACK_BYTES)),
      COMPLETE_CALLBACK,
    ]),
  }),
  'upload with a guessed token': () => ({
    opening: head(`PUT /uploads/${anyId()}?t=${guess()}`, ['Content-Length: 10000000']),
    more: () => CHUNK,
  }),
  'WebSocket that sends nothing': () => ({ opening: upgrade() }),
  'half of an upgrade': () => ({ opening: upgrade().slice(0, -2) }),
  'pings before connection_init': () => ({ opening: upgrade(), more: () => largePing, neverReads: true }),
  'ping frames before connection_init': () => ({
    opening: upgrade(),
    more: () => Buffer.concat(Array<Buffer>(100).fill(frame(PING_FRAME, 'x'.repeat(120)))),
    neverReads: true,
  }),
  'message that never ends before connection_init': () => ({
    opening: Buffer.concat([Buffer.from(upgrade()), frame(TEXT_FRAME, 'x', LONG_PAYLOAD_BYTES)]),
    more: () => 'x'.repeat(500),
  }),
  'pipelined requests': () => ({
    opening: '',
    more: () => head('GET /readyz').repeat(200),
  }),
  'pipelined responses that are not read': () => ({
    opening: head('GET /openapi.json'),
    more: () => head('GET /openapi.json').repeat(20),
    neverReads: true,
  }),
  'compressed body without a key': () => ({
    opening: postBody('/graphql', BOMB, ['Content-Encoding: br']),
  }),
  'compressed body': ({ apiKey }) =>
    apiKey === null
      ? null
      : { opening: '', more: () => postBody('/graphql', BOMB, ['Content-Encoding: br', ...bearer(apiKey)]) },
  'compressed body with a large window': ({ apiKey }) =>
    apiKey === null
      ? null
      : {
          opening: '',
          more: () => postBody('/graphql', LARGE_WINDOW_BOMB, ['Content-Encoding: br', ...bearer(apiKey)]),
        },
  'compressed body that never ends': ({ apiKey }) =>
    apiKey === null
      ? null
      : {
          opening: Buffer.concat([
            Buffer.from(post('/graphql', UNFINISHED_JSON_BYTES, ['Content-Encoding: br', ...bearer(apiKey)])),
            LARGE_WINDOW_BOMB,
          ]),
        },
  'JSON that takes long to parse': ({ apiKey }) =>
    apiKey === null
      ? null
      : {
          opening: '',
          more: () => postBody('/graphql', ESCAPES, ['Content-Encoding: gzip', ...bearer(apiKey)]),
        },
  'JSON with many values': ({ apiKey }) =>
    apiKey === null
      ? null
      : {
          opening: '',
          more: () => postBody('/graphql', BRACKETS, ['Content-Encoding: gzip', ...bearer(apiKey)]),
        },
  'idle connection after a large request': ({ apiKey }) =>
    apiKey === null
      ? null
      : {
          opening: Buffer.concat([
            postBody('/graphql', ESCAPES, ['Content-Encoding: gzip', ...bearer(apiKey)]),
            Buffer.from(post('/graphql', UNFINISHED_JSON_BYTES, bearer(apiKey))),
          ]),
          more: () => ' ',
        },
  'body in small pieces': ({ apiKey }) =>
    apiKey === null
      ? null
      : {
          opening: head('POST /graphql', [
            'Content-Type: application/json',
            'Transfer-Encoding: chunked',
            ...bearer(apiKey),
          ]),
          more: () => '1\r\nx\r\n'.repeat(CHUNK.length / 6),
        },
  'body at /graphql': ({ apiKey }) =>
    apiKey === null
      ? null
      : { opening: post('/graphql', UNFINISHED_JSON_BYTES, bearer(apiKey)), more: () => CHUNK },
  'body at /graphql/stream': ({ apiKey }) =>
    apiKey === null
      ? null
      : {
          opening: post('/graphql/stream', LONG_PAYLOAD_BYTES, bearer(apiKey)),
          more: () => CHUNK.subarray(0, 50),
        },
  'body at /flux/images': ({ apiKey }) =>
    apiKey === null
      ? null
      : { opening: post('/flux/images', UNFINISHED_JSON_BYTES, bearer(apiKey)), more: () => CHUNK },
  'callback body': ({ callbackPath }) =>
    callbackPath === undefined ? null : { opening: post(callbackPath, CALLBACK_BYTES), more: () => CHUNK },
  upload: ({ uploadPath }) =>
    uploadPath === undefined
      ? null
      : { opening: head(`PUT ${uploadPath}`, [`Content-Length: ${CALLBACK_BYTES}`]), more: () => CHUNK },
  'large results that are not read': ({ apiKey }) =>
    apiKey === null
      ? null
      : {
          opening: '',
          more: () => postBody('/graphql', JSON.stringify(LARGE_QUERY), bearer(apiKey)),
          neverReads: true,
        },
  'large results over WebSocket that are not read': ({ apiKey }) =>
    apiKey === null
      ? null
      : {
          opening: initialize(apiKey),
          more: () => message({ id: guess(), type: 'subscribe', payload: LARGE_QUERY }),
          neverReads: true,
        },
  'introspection queries that differ': ({ apiKey }) =>
    apiKey === null
      ? null
      : {
          opening: '',
          more: () =>
            postBody(
              '/graphql',
              JSON.stringify({ query: LARGE_QUERY.query.replace(/\w*Query\b/, `q${guess()}`) }),
              bearer(apiKey),
            ),
        },
  'message that never ends': ({ apiKey }) =>
    apiKey === null
      ? null
      : {
          opening: Buffer.concat([initialize(apiKey), frame(TEXT_FRAME, 'x', LONG_PAYLOAD_BYTES)]),
          more: () => 'x'.repeat(500),
        },
  'large subscriptions': ({ apiKey }) =>
    apiKey === null
      ? null
      : {
          opening: initialize(apiKey),
          more: () =>
            message({
              id: guess(),
              type: 'subscribe',
              payload: { ...SUBSCRIPTION, variables: { unused: 'x'.repeat(LONG_PAYLOAD_BYTES) } },
            }),
        },
  'subscription that is not read': ({ apiKey }) =>
    apiKey === null
      ? null
      : {
          opening: initialize(apiKey),
          more: () => message({ id: guess(), type: 'subscribe', payload: SUBSCRIPTION }),
          neverReads: true,
        },
  'event stream that is not read': ({ apiKey }) =>
    apiKey === null
      ? null
      : { opening: head('GET /events', bearer(apiKey)), more: () => '\r\n', neverReads: true },
};
