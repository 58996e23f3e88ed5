import { pipeline } from 'node:stream/promises';
import express, { type Request, type Response, type Router } from 'express';
import { type Pictures, type ServedPicture } from '../services/pictures.js';

/** The bytes of an id never change: a year, the longest that caches are asked for, and no asking again. */
const FOR_EVER = 'public, max-age=31536000, immutable';

/** Serves stored pictures: conditional requests, one byte range at a time, HEAD. */
export function pictureRoutes(pictures: Pictures): Router {
  const router = express.Router();
  // express answers HEAD by this route too.
  router.get('/images/:id', async (request, response) => {
    const picture = await pictures.serve(request.params.id);
    response.set({
      'content-type': picture.mimeType,
      'cache-control': FOR_EVER,
      'accept-ranges': 'bytes',
      etag: `"${picture.sha256}"`,
      'content-security-policy': "default-src 'none'; sandbox",
    });
    if (request.fresh) {
      response.status(304).end();
      return;
    }
    await sendBytes(request, response, picture);
  });
  return router;
}

async function sendBytes(request: Request, response: Response, picture: ServedPicture): Promise<void> {
  const size = picture.byteSize;
  const range = ifRangeHolds(request, picture) ? request.range(size) : undefined;
  if (range === -1) {
    response.status(416).set('content-range', `bytes */${size}`).end();
    return;
  }
  const isPart = Array.isArray(range) && range.type === 'bytes' && range.length === 1;
  const part = isPart ? range[0] : undefined;
  const { start, end } = part ?? { start: 0, end: size - 1 };
  response.set('content-length', String(end - start + 1));
  if (part) response.status(206).set('content-range', `bytes ${start}-${end}/${size}`);
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  await pipeline(picture.open(part && { start, end }), response).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  });
}

/** RFC 9110: a range of a picture that is not the one meant is answered with the whole. */
function ifRangeHolds(request: Request, picture: ServedPicture): boolean {
  const condition = request.headers['if-range'];
  return condition === undefined || condition === `"${picture.sha256}"`;
}
