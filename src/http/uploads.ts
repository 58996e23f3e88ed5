import { Busboy } from '@fastify/busboy';
import express, { type Request, type Response, type Router } from 'express';
import { type Readable } from 'node:stream';
import { BadRequest, PayloadTooLarge } from '../core/errors.js';
import { type Image } from '../core/image.js';
import { type Addresses } from '../services/addresses.js';
import { type Uploading } from '../services/uploading.js';

/** Takes pictures at upload links: the bytes themselves by PUT, or a form with one file by POST. */
export function uploadRoutes(uploading: Uploading, addresses: Addresses, maxBytes: number): Router {
  const router = express.Router();
  const tokenOf = ({ query }: Request) => (typeof query.t === 'string' ? query.t : '');
  router.put('/uploads/:id', async (request, response) => {
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) {
      throw new PayloadTooLarge(`${Math.floor(maxBytes / 1024 / 1024)} MB`);
    }
    answer(response, await uploading.receive(request.params.id, tokenOf(request), request), addresses);
  });
  router.post('/uploads/:id', async (request, response) => {
    const receive = (file: Readable) => uploading.receive(request.params.id, tokenOf(request), file);
    answer(response, await firstFile(request, receive), addresses);
  });
  return router;
}

function answer(response: Response, image: Image, addresses: Addresses): void {
  const { id, width, height, mimeType, byteSize } = image;
  response.status(201).json({ image: { id, url: addresses.image(id), width, height, mimeType, byteSize } });
}

/** Hands the first file of a form to `take`, as it comes; the rest of the form is passed over. Throws BadRequest. */
async function firstFile(request: Request, take: (file: Readable) => Promise<Image>): Promise<Image> {
  const contentType = request.headers['content-type'] ?? '';
  if (!contentType.startsWith('multipart/form-data')) {
    throw new BadRequest('Send the bytes with PUT, or a multipart/form-data form with one file with POST.');
  }
  const form = new Busboy({
    headers: { ...request.headers, 'content-type': contentType },
    limits: { files: 1 },
  });
  return new Promise((resolve, reject) => {
    let taken: Promise<Image> | null = null;
    form.on('file', (_field, file) => {
      taken = take(file);
      taken.catch((error: Error) => {
        request.unpipe(form);
        request.resume();
        reject(error);
      });
    });
    form.on('error', (error) => reject(new BadRequest('The form cannot be read.', { cause: error })));
    form.on('finish', () => {
      if (taken) taken.then(resolve, reject);
      else reject(new BadRequest('The form has no file.'));
    });
    request.pipe(form);
  });
}
