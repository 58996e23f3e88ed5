import { Busboy, type BusboyInstance } from '@fastify/busboy';
import express, { type Request, type Response, type Router } from 'express';
import { PassThrough, type Readable, Writable } from 'node:stream';
import { BadRequest, PayloadTooLarge } from '../../core/errors.js';
import { type SignedLinks } from '../../services/access/signed-links.js';
import { type Uploads } from '../../services/images/uploads.js';

/** What a form may have beside its file. It is read and discarded. */
const MAX_FORM_OVERHEAD_BYTES = 1024 * 1024;
/** Each part keeps the event loop busy for ten microseconds, and 64 kB can hold thousands. */
export const MAX_FORM_PARTS = 100;
/** A slice is parsed to its end, even if the form is refused in it. Smaller ones would make large files slower. */
const FORM_SLICE_BYTES = 2_048;
const TOO_MANY_PARTS = `The form has more than ${MAX_FORM_PARTS} parts. Leave out fields that are not needed.`;

/** Receives images at upload links: the bytes with PUT, or a multipart form with one file with POST. */
export function uploadRoutes(uploads: Uploads, signedLinks: SignedLinks, maxBytes: number): Router {
  const receive = async (
    request: Request<{ id: string }>,
    response: Response,
    open: (request: Request) => Readable,
  ) => {
    const token = typeof request.query.t === 'string' ? request.query.t : '';
    uploads.requireValidLink(request.params.id, token);
    const bytes = open(request);
    // The stream can fail before `receive` reads it, or without being read.
    bytes.on('error', () => undefined);
    try {
      const image = await uploads.receive(request.params.id, token, bytes);
      // This body was refused meanwhile for its small pieces, but a newer one of the link has become the image.
      if (response.headersSent) return;
      const { id, width, height, mimeType, byteSize } = image;
      response
        .status(201)
        .json({ image: { id, url: signedLinks.imageUrl(id), width, height, mimeType, byteSize } });
    } finally {
      bytes.destroy();
    }
  };
  const router = express.Router();
  router.put('/uploads/:id', async (request, response) => {
    await receive(request, response, () => {
      requireLength(request, maxBytes);
      return bodyStreamOf(request);
    });
  });
  router.post('/uploads/:id', async (request, response) => {
    await receive(request, response, () => {
      requireLength(request, maxBytes + MAX_FORM_OVERHEAD_BYTES);
      return firstFileOf(request, maxBytes + MAX_FORM_OVERHEAD_BYTES);
    });
  });
  return router;
}

/** Throws PayloadTooLarge for a body that is announced as larger. */
function requireLength({ headers }: Request, maxBytes: number): void {
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw new PayloadTooLarge(maxBytes);
}

/**
 * Returns the body as a separate stream, which fails when the client disconnects. Destroying the stream keeps the
 * connection open, so that a client that sends everything before it reads still gets the response: see UnreadBodies.
 */
function bodyStreamOf(request: Request): PassThrough {
  const body = new PassThrough();
  body.once('close', () => {
    request.unpipe(body);
    request.resume();
  });
  request.once('close', () => {
    if (!request.readableEnded)
      body.destroy(Object.assign(new Error('aborted'), { type: 'request.aborted' }));
  });
  return request.pipe(body);
}

/**
 * Streams the first file of a form and discards the rest. The stream fails with BadRequest, also for too many parts, or with
 * PayloadTooLarge if the whole form is larger than `maxBytes`. Throws BadRequest as well.
 */
function firstFileOf(request: Request, maxBytes: number): PassThrough {
  const form = parserOf(request);
  const file = new PassThrough();
  const fail = (error: Error) => file.destroy(Object.assign(error, { type: 'form.malformed' }));
  let hasFile = false;
  form.on('file', (_field, bytes) => {
    hasFile = true;
    bytes.on('error', fail).pipe(file);
  });
  form.on('error', fail);
  form.on('partsLimit', () => file.destroy(new BadRequest(TOO_MANY_PARTS)));
  form.on('finish', () => {
    if (!hasFile) file.destroy(new BadRequest('The form has no file. Add one as a part with a file name.'));
  });
  const body = bodyStreamOf(request);
  let received = 0;
  body.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (received > maxBytes) file.destroy(new PayloadTooLarge(maxBytes));
  });
  body.on('error', (error) => file.destroy(error)).pipe(inSlices(form, file));
  return file.once('close', () => body.destroy());
}

/** Passes a form to its parser, until its file is destroyed. */
function inSlices(form: BusboyInstance, file: Readable): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      const writeFrom = (start: number): void => {
        if (file.destroyed || start >= chunk.length) return done();
        form.write(chunk.subarray(start, start + FORM_SLICE_BYTES), () =>
          writeFrom(start + FORM_SLICE_BYTES),
        );
      };
      writeFrom(0);
    },
    final: (done) => {
      form.end();
      done();
    },
  });
}

function parserOf({ headers }: Request): BusboyInstance {
  const contentType = headers['content-type'] ?? '';
  if (!/^multipart\/form-data(;|\s|$)/i.test(contentType)) {
    throw new BadRequest(
      'The content type is not multipart/form-data. Send the bytes with PUT, or a form with POST.',
    );
  }
  try {
    return new Busboy({
      headers: { ...headers, 'content-type': contentType },
      // Fields are skipped, or each would be kept in memory until its end.
      limits: { files: 1, fields: 0, parts: MAX_FORM_PARTS },
    });
  } catch (error) {
    throw Object.assign(error as Error, { type: 'form.boundary.missing' });
  }
}
