import { type IncomingMessage } from 'node:http';
import { type Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { BadRequest, PayloadTooLarge } from '../../core/errors.js';

const DECODERS: Readonly<Record<string, () => NodeJS.ReadWriteStream & Readable>> = {
  gzip: createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/**
 * The JSON object or list that was posted; an empty object where nothing was, or something that does not call itself JSON.
 * Throws PayloadTooLarge and BadRequest. Rejects when the client leaves before it has sent everything.
 */
export async function readJson(request: IncomingMessage, maxBytes: number): Promise<unknown> {
  if (!/^application\/json *(;|$)/i.test(request.headers['content-type'] ?? '')) return {};
  const bytes = await readBytes(request, maxBytes);
  if (bytes.length === 0) return {};
  let body: unknown;
  try {
    body = JSON.parse(bytes.toString());
  } catch (error) {
    throw new BadRequest('The body is not JSON.', { cause: error });
  }
  if (typeof body !== 'object' || body === null) throw new BadRequest('The body is not a JSON object.');
  return body;
}

async function readBytes(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const { 'content-length': length, 'content-encoding': encoding = 'identity' } = request.headers;
  const tooLarge = new PayloadTooLarge(`${maxBytes / (1024 * 1024)} MB`);
  if (Number(length) > maxBytes) throw tooLarge;
  const decode = DECODERS[encoding.toLowerCase()];
  if (!decode && encoding.toLowerCase() !== 'identity') {
    throw new BadRequest(`The body has the content-encoding "${encoding}"; send gzip, deflate, br or none.`);
  }
  const source: Readable = decode ? request.pipe(decode()) : request;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    source.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else {
        // What still comes is let through unread, so that the client can read the answer.
        source.removeAllListeners('data').resume();
        reject(tooLarge);
      }
    });
    source.on('end', () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)));
    source.on('error', (error) => reject(new BadRequest('The body cannot be read.', { cause: error })));
    request.on('close', () => {
      if (!request.complete) reject(new BadRequest('The body was cut short.'));
    });
  });
}
