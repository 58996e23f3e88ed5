import { createHash, timingSafeEqual } from 'node:crypto';
import { type RequestHandler } from 'express';
import { ApiRefusal } from './api-refusal.js';

/**
 * Lets a request pass that carries `authorization: Bearer <token>`; without a required token any non-empty one will do.
 * No token at all is `no_token` (400), any other one `invalid_token` (401).
 */
export function requireBearer(token: string | undefined): RequestHandler {
  return (request, _response, next) => {
    const header = request.headers.authorization?.trim() ?? '';
    if (header === '' || /^bearer$/i.test(header)) throw new ApiRefusal('no_token');
    const [, given] = /^bearer\s+(\S+)$/i.exec(header) ?? [];
    if (given === undefined || (token !== undefined && !isSame(given, token))) {
      throw new ApiRefusal('invalid_token');
    }
    next();
  };
}

function isSame(given: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}
