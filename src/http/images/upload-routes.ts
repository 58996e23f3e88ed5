import { Busboy, type BusboyInstance } from '@fastify/busboy';
import express, { type Request, type Response, type Router } from 'express';
import { PassThrough, type Readable } from 'node:stream';
import { BadRequest, PayloadTooLarge } from '../../core/errors.js';
import { type Addresses } from '../../services/access/signed-links.js';
import { type Uploading } from '../../services/images/uploads.js';

/** Takes pictures at upload links: the bytes themselves by PUT, or a form with one file by POST. */
export function uploadRoutes(uploading: Uploading, addresses: Addresses, maxBytes: number): Router {
  const receive = async (request: Request<{ id: string }>, response: Response, bytes: Readable) => {
    const token = typeof request.query.t === 'string' ? request.query.t : '';
    // It can fail before anybody reads it, and when nobody does.
    bytes.on('error', () => undefined);
    try {
      const image = await uploading.receive(request.params.id, token, bytes);
      const { id, width, height, mimeType, byteSize } = image;
      response
        .status(201)
        .json({ image: { id, url: addresses.image(id), width, height, mimeType, byteSize } });
    } finally {
      bytes.destroy();
    }
  };
  const router = express.Router();
  router.put('/uploads/:id', async (request, response) => {
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) {
      throw new PayloadTooLarge(`${Math.floor(maxBytes / 1024 / 1024)} MB`);
    }
    await receive(request, response, bodyOf(request));
  });
  router.post('/uploads/:id', (request, response) => receive(request, response, firstFileOf(request)));
  return router;
}

/**
 * The body as a stream of its own. It fails when the client goes away. Destroying it leaves the connection alone: what is
 * still to come is passed over, so that a client that sends to the end before it listens is answered too. Node ends that
 * after 300 s, `requestTimeout`.
 */
function bodyOf(request: Request): PassThrough {
  const body = new PassThrough();
  body.once('close', () => {
    request.unpipe(body);
    request.resume();
  });
  request.once('close', () => {
    if (!request.complete)
      body.destroy(new BadRequest('The connection was closed in the middle of the body.'));
  });
  return request.pipe(body);
}

/** The first file of a form, as it comes; the rest of the form is passed over. Fails with BadRequest; may also throw it. */
function firstFileOf(request: Request): PassThrough {
  const form = formOf(request);
  const file = new PassThrough();
  const refuse = (cause: Error) => file.destroy(new BadRequest('The form cannot be read.', { cause }));
  let found = false;
  form.on('file', (_field, bytes) => {
    found = true;
    bytes.on('error', refuse).pipe(file);
  });
  form.on('error', refuse);
  form.on('finish', () => {
    if (!found) file.destroy(new BadRequest('The form has no file.'));
  });
  const body = bodyOf(request);
  body.on('error', (error) => file.destroy(error)).pipe(form);
  return file.once('close', () => body.destroy());
}

function formOf({ headers }: Request): BusboyInstance {
  const contentType = headers['content-type'] ?? '';
  if (!contentType.startsWith('multipart/form-data')) {
    throw new BadRequest('Send the bytes with PUT, or a multipart/form-data form with one file with POST.');
  }
  try {
    return new Busboy({ headers: { ...headers, 'content-type': contentType }, limits: { files: 1 } });
  } catch (cause) {
    throw new BadRequest('The form has no boundary.', { cause });
  }
}
