import { pipeline } from 'node:stream/promises';
import express, { type Request, type Response, type Router } from 'express';
import { BadRequest } from '../../core/errors.js';
import { IMAGE_FORMATS, IMAGE_WIDTHS, type ImageVariant } from '../../core/images/image.js';
import { type ImageServing, type ServedFile, VariantReplaced } from '../../services/images/image-serving.js';

/** The bytes of a variant never change, so caches may keep them for a year, the customary maximum. */
const MAX_AGE_SECONDS = 31_536_000;
/** Less than the 5 min for which the bucket accepts a presigned URL, if its link lives so long. */
const REDIRECT_MAX_AGE_SECONDS = 240;

/** Set on every response. The bytes are untrusted, any page may embed them, and only image responses may be cached. */
const SAFETY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; sandbox",
  'cross-origin-resource-policy': 'cross-origin',
  'x-content-type-options': 'nosniff',
};

/** Serves stored images, with support for HEAD, conditional requests and single byte ranges. */
export function imageRoutes(imageServing: ImageServing): Router {
  const router = express.Router();
  // Express uses this route for HEAD as well.
  router.get('/images/:id', async (request, response) => {
    response.set(SAFETY_HEADERS);
    const { t, w, f } = request.query;
    const variant = parseVariant(w, f);
    const serve = () => imageServing.serve(request.params.id, typeof t === 'string' ? t : '', variant);
    const image = await serve();
    if (image.presignedUrl !== null) {
      const seconds = Math.min(REDIRECT_MAX_AGE_SECONDS, image.maxAgeSeconds ?? REDIRECT_MAX_AGE_SECONDS);
      response.set('cache-control', `private, max-age=${seconds}`).redirect(302, image.presignedUrl);
      return;
    }
    await sendImage(request, response, image).catch(async (error: unknown) => {
      // It is thrown before anything is sent.
      if (!(error instanceof VariantReplaced)) throw error;
      await sendImage(request, response, await serve());
    });
  });
  return router;
}

/** Throws BadRequest for an unsupported width or format. */
function parseVariant(w: unknown, f: unknown): ImageVariant {
  const width = w === undefined ? null : IMAGE_WIDTHS.find((known) => String(known) === w);
  const format = f === undefined ? null : IMAGE_FORMATS.find((known) => known === f);
  if (width === undefined) throw new BadRequest(`\`w\` must be one of ${IMAGE_WIDTHS.join(', ')}.`);
  if (format === undefined) throw new BadRequest(`\`f\` must be one of ${IMAGE_FORMATS.join(', ')}.`);
  return { width, format };
}

/** Sets the image's headers only after its bytes are open, so that an error response is not cached for a year. */
async function sendImage(request: Request, response: Response, image: ServedFile): Promise<void> {
  const headers = {
    'content-type': image.mimeType,
    'content-disposition': image.disposition,
    'cache-control': `public, max-age=${image.maxAgeSeconds ?? MAX_AGE_SECONDS}, immutable`,
    'accept-ranges': 'bytes',
    etag: image.etag,
  };
  if (!isExpectedVersion(request, image)) {
    response.status(412).end();
    return;
  }
  if (isFresh(request, response, image)) {
    response.status(304).set(headers).end();
    return;
  }
  const size = image.byteSize;
  const range = ifRangeMatches(request, image) ? rangeOf(request, size) : undefined;
  if (range === -1) {
    response.status(416).set('content-range', `bytes */${size}`).end();
    return;
  }
  const isPart = Array.isArray(range) && range.type === 'bytes' && range.length === 1;
  const part = isPart ? range[0] : undefined;
  const { start, end } = part ?? { start: 0, end: size - 1 };
  const bytes = request.method === 'HEAD' ? null : await image.open(part && { start, end });
  response.set(headers).set('content-length', String(end - start + 1));
  if (part) response.status(206).set('content-range', `bytes ${start}-${end}/${size}`);
  if (bytes === null || Buffer.isBuffer(bytes)) {
    response.end(bytes);
    return;
  }
  await pipeline(bytes, response).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  });
}

/** RFC 9110, 13.1.1: a client that continues a download can ask for the bytes of the same version only. */
function isExpectedVersion(request: Request, image: ServedFile): boolean {
  const condition = request.headers['if-match'];
  if (condition === undefined || condition === '*') return true;
  return condition.split(',').some((etag) => etag.trim() === image.etag);
}

/** Whether the client has the image already. Express reads the ETag from the response. */
function isFresh(request: Request, response: Response, { etag }: ServedFile): boolean {
  response.set('etag', etag);
  const { fresh } = request;
  response.removeHeader('etag');
  return fresh;
}

/** As Express reads it, but a suffix that is longer than the image means all of it (RFC 9110, 14.1.2). */
function rangeOf(request: Request, size: number): ReturnType<Request['range']> {
  const [, suffix] = /^bytes=-(\d+)$/i.exec(request.headers.range ?? '') ?? [];
  if (!(Number(suffix) > size)) return request.range(size);
  return Object.assign([{ start: 0, end: size - 1 }], { type: 'bytes' });
}

/** RFC 9110: if the condition does not match, the response is the whole image instead of the range. */
function ifRangeMatches(request: Request, image: ServedFile): boolean {
  const condition = request.headers['if-range'];
  return condition === undefined || condition === image.etag;
}
