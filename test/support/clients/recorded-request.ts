import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';

/** The answer to a recorded request. */
export interface RecordedAnswer {
  status: number;
  /** With lower-case names. */
  headers: Map<string, string>;
  body: Buffer;
  /** Whether the server asked for the body first, as `Expect: 100-continue` wants. */
  wasContinued: boolean;
}

type Answer = Omit<RecordedAnswer, 'wasContinued'>;

const HEAD_END = '\r\n\r\n';

/**
 * Sends the bytes of a file in test/clients/requests. In its head, `{{name}}` stands for one of `values`, and `{{host}}` for the
 * server. The body is sent unchanged, after the server has asked for it if the client waits for that.
 */
export async function sendRecordedRequest(
  url: string,
  name: string,
  values: Record<string, string>,
): Promise<RecordedAnswer> {
  const { hostname, port, host } = new URL(url);
  const recording = await readFile(`test/clients/requests/${name}.http`);
  const [rawHead, body] = splitAtHead(recording) ?? [recording.toString(), Buffer.alloc(0)];
  const head = rawHead.replace(/\{\{(\w+)\}\}/g, (_, key: string) => ({ ...values, host })[key] ?? '');
  const socket = connect(Number(port), hostname);
  try {
    const answers = readAnswers(socket);
    const next = async () => (await answers.next()).value;
    socket.write(head + HEAD_END);
    const isWaiting = /^expect: 100-continue$/im.test(head);
    if (!isWaiting) socket.write(body);
    const first = await next();
    if (!isWaiting || first.status !== 100) return { ...first, wasContinued: false };
    socket.write(body);
    return { ...(await next()), wasContinued: true };
  } finally {
    socket.destroy();
  }
}

/** Reads responses of HTTP/1.1, whose bodies have a length or are chunked. Throws if the connection ends early. */
async function* readAnswers(socket: Socket): AsyncGenerator<Answer, never, undefined> {
  let received: Buffer = Buffer.alloc(0);
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk as Buffer]);
    for (let parsed = parseAnswer(received); parsed; parsed = parseAnswer(received)) {
      // A refusal that did not need the body can arrive together with `100 Continue`.
      received = parsed.rest;
      yield parsed.answer;
    }
  }
  throw new Error(`The connection ended after ${received.length} bytes of a response.`);
}

/** Null while a part of it is missing. */
function parseAnswer(bytes: Buffer): { answer: Answer; rest: Buffer } | null {
  const [head, rest] = splitAtHead(bytes) ?? [];
  if (head === undefined || rest === undefined) return null;
  const [statusLine = '', ...lines] = head.split('\r\n');
  const status = Number(statusLine.split(' ')[1]);
  const headers = new Map(
    lines.map((line) => {
      const [name = '', ...value] = line.split(': ');
      return [name.toLowerCase(), value.join(': ')];
    }),
  );
  const isChunked = headers.get('transfer-encoding') === 'chunked';
  const read = isChunked ? readChunks(rest) : readBytes(rest, Number(headers.get('content-length') ?? 0));
  return read && { answer: { status, headers, body: read.body }, rest: read.rest };
}

function readBytes(bytes: Buffer, length: number): { body: Buffer; rest: Buffer } | null {
  return bytes.length < length ? null : { body: bytes.subarray(0, length), rest: bytes.subarray(length) };
}

/** Null while a part of it is missing. */
function readChunks(bytes: Buffer): { body: Buffer; rest: Buffer } | null {
  const chunks: Buffer[] = [];
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return null;
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    const end = lineEnd + 2 + size;
    if (bytes.length < end + 2) return null;
    at = end + 2;
    if (size === 0) return { body: Buffer.concat(chunks), rest: bytes.subarray(at) };
    chunks.push(bytes.subarray(lineEnd + 2, end));
  }
}

function splitAtHead(bytes: Buffer): [head: string, rest: Buffer] | null {
  const end = bytes.indexOf(HEAD_END);
  return end < 0 ? null : [bytes.toString('latin1', 0, end), bytes.subarray(end + HEAD_END.length)];
}
