import { Busboy, type BusboyInstance } from '@fastify/busboy';
import express, { type Request, type Response, type Router } from 'express';
import { PassThrough, type Readable } from 'node:stream';
import { BadRequest, PayloadTooLarge } from '../../core/errors.js';
import { type SignedLinks } from '../../services/access/signed-links.js';
import { type Uploads } from '../../services/images/uploads.js';

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
      if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw new PayloadTooLarge(maxBytes);
      return bodyStreamOf(request);
    });
  });
  router.post('/uploads/:id', (request, response) => receive(request, response, firstFileOf));
  return router;
}

/**
 * Returns the body as a separate stream, which fails when the client disconnects. Destroying the stream keeps the
 * connection open and discards the rest of the body, so that a client that sends everything before it reads still gets the
 * response. Node ends such a request after 300 s (`requestTimeout`).
 */
function bodyStreamOf(request: Request): PassThrough {
  const body = new PassThrough();
  body.once('close', () => {
    request.unpipe(body);
    request.resume();
  });
  request.once('close', () => {
    if (!request.complete) body.destroy(Object.assign(new Error('aborted'), { type: 'request.aborted' }));
  });
  return request.pipe(body);
}

/** Streams the first file of a form and discards the rest. The stream fails with BadRequest. Throws BadRequest as well. */
function firstFileOf(request: Request): PassThrough {
  const form = parserOf(request);
  const file = new PassThrough();
  const fail = (error: Error) => file.destroy(Object.assign(error, { type: 'form.malformed' }));
  let hasFile = false;
  form.on('file', (_field, bytes) => {
    hasFile = true;
    bytes.on('error', fail).pipe(file);
  });
  form.on('error', fail);
  form.on('finish', () => {
    if (!hasFile) file.destroy(new BadRequest('The form has no file. Add one as a part with a file name.'));
  });
  const body = bodyStreamOf(request);
  body.on('error', (error) => file.destroy(error)).pipe(form);
  return file.once('close', () => body.destroy());
}

function parserOf({ headers }: Request): BusboyInstance {
  const contentType = headers['content-type'] ?? '';
  if (!contentType.startsWith('multipart/form-data')) {
    throw new BadRequest(
      'The content type is not multipart/form-data. Send the bytes with PUT, or a form with POST.',
    );
  }
  try {
    return new Busboy({
      headers: { ...headers, 'content-type': contentType },
      limits: { files: 1 },
    });
  } catch (error) {
    throw Object.assign(error as Error, { type: 'form.boundary.missing' });
  }
}
