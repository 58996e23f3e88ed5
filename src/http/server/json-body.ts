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
 * Reads a JSON object or list from the body. Returns an empty object for an empty body and for other content types. Throws
 * PayloadTooLarge, and BadRequest, also when the client disconnects before the body is complete.
 */
export async function readJsonBody(request: IncomingMessage, maxBytes: number): Promise<unknown> {
  if (!/^application\/json *(;|$)/i.test(request.headers['content-type'] ?? '')) return {};
  const bytes = await readBody(request, maxBytes);
  if (bytes.length === 0) return {};
  let body: unknown;
  try {
    body = JSON.parse(bytes.toString());
  } catch (error) {
    throw new BadRequest('The request body is not valid JSON. Correct it and send it again.', {
      cause: error,
    });
  }
  if (typeof body !== 'object' || body === null)
    throw new BadRequest(
      'The request body is not a JSON object or list. Send an object with the GraphQL document as `query`.',
    );
  return body;
}

async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const { 'content-length': length, 'content-encoding': encoding = 'identity' } = request.headers;
  const tooLarge = new PayloadTooLarge(maxBytes);
  if (Number(length) > maxBytes) throw tooLarge;
  const decode = DECODERS[encoding.toLowerCase()];
  if (!decode && encoding.toLowerCase() !== 'identity') {
    throw new BadRequest(
      `The content-encoding "${encoding}" is not supported. Use gzip, deflate, br or none.`,
    );
  }
  const source: Readable = decode ? request.pipe(decode()) : request;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    source.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else {
        // The rest is discarded, so that the client can read the response.
        source.removeAllListeners('data').resume();
        reject(tooLarge);
      }
    });
    source.on('end', () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)));
    source.on('error', (error) =>
      reject(
        new BadRequest('The request body cannot be decoded. Check its content-encoding.', { cause: error }),
      ),
    );
    request.on('close', () => {
      if (!request.complete)
        reject(
          new BadRequest('The connection was closed before the request body was complete. Send it again.'),
        );
    });
  });
}
