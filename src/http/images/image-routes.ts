import { pipeline } from 'node:stream/promises';
import express, { type Request, type Response, type Router } from 'express';
import { BadRequest } from '../../core/errors.js';
import { IMAGE_FORMATS, IMAGE_WIDTHS, type Variant } from '../../core/images/image.js';
import { type PictureServing, type ServedPicture } from '../../services/images/image-serving.js';

/** The bytes of a form never change: a year, the longest that caches are asked for, and no asking again. */
const YEAR_SECONDS = 31_536_000;
/** Below the time for which the bucket serves such a link. */
const REDIRECT_SECONDS = 240;

/** What a browser is told of everything at these addresses: a stranger's bytes, which any page may show; kept only if a picture came. */
const SAFE = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; sandbox",
  'cross-origin-resource-policy': 'cross-origin',
  'x-content-type-options': 'nosniff',
};

/** Serves stored pictures: conditional requests, one byte range at a time, HEAD. */
export function pictureRoutes(pictures: PictureServing): Router {
  const router = express.Router();
  // express answers HEAD by this route too.
  router.get('/images/:id', async (request, response) => {
    response.set(SAFE);
    const { t, w, f } = request.query;
    const picture = await pictures.serve(request.params.id, typeof t === 'string' ? t : '', variantOf(w, f));
    if (picture.presigned !== null) {
      const seconds = Math.min(REDIRECT_SECONDS, picture.maxAge ?? REDIRECT_SECONDS);
      response.set('cache-control', `private, max-age=${seconds}`).redirect(302, picture.presigned);
      return;
    }
    await answer(request, response, picture);
  });
  return router;
}

/** Throws BadRequest for a width or a format that pictures are not served in. */
function variantOf(w: unknown, f: unknown): Variant {
  const width = w === undefined ? null : IMAGE_WIDTHS.find((known) => String(known) === w);
  const format = f === undefined ? null : IMAGE_FORMATS.find((known) => known === f);
  if (width === undefined) throw new BadRequest(`\`w\` is one of ${IMAGE_WIDTHS.join(', ')}.`);
  if (format === undefined) throw new BadRequest(`\`f\` is one of ${IMAGE_FORMATS.join(', ')}.`);
  return { width, format };
}

/** What is said of the picture is said once its bytes are open: an error is not to be kept for a year. */
async function answer(request: Request, response: Response, picture: ServedPicture): Promise<void> {
  const found = {
    'content-type': picture.mimeType,
    'content-disposition': `inline; filename="${picture.fileName}"`,
    'cache-control': `public, max-age=${picture.maxAge ?? YEAR_SECONDS}, immutable`,
    'accept-ranges': 'bytes',
    etag: picture.etag,
  };
  if (isFresh(request, response, picture)) {
    response.status(304).set(found).end();
    return;
  }
  const size = picture.byteSize;
  const range = ifRangeHolds(request, picture) ? request.range(size) : undefined;
  if (range === -1) {
    response.status(416).set('content-range', `bytes */${size}`).end();
    return;
  }
  const isPart = Array.isArray(range) && range.type === 'bytes' && range.length === 1;
  const part = isPart ? range[0] : undefined;
  const { start, end } = part ?? { start: 0, end: size - 1 };
  const bytes = request.method === 'HEAD' ? null : await picture.open(part && { start, end });
  response.set(found).set('content-length', String(end - start + 1));
  if (part) response.status(206).set('content-range', `bytes ${start}-${end}/${size}`);
  if (bytes === null || Buffer.isBuffer(bytes)) {
    response.end(bytes);
    return;
  }
  await pipeline(bytes, response).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  });
}

/** Whether the client has the picture already. express looks for the ETag on the answer. */
function isFresh(request: Request, response: Response, { etag }: ServedPicture): boolean {
  response.set('etag', etag);
  const { fresh } = request;
  response.removeHeader('etag');
  return fresh;
}

/** RFC 9110: a range of a picture that is not the one meant is answered with the whole. */
function ifRangeHolds(request: Request, picture: ServedPicture): boolean {
  const condition = request.headers['if-range'];
  return condition === undefined || condition === picture.etag;
}
