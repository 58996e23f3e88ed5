import { createHash, timingSafeEqual } from 'node:crypto';
import { type RequestHandler } from 'express';
import { ApiRefusal } from './api-refusal.js';

/**
 * Requires `authorization: Bearer <token>`. Without a configured token any non-empty one is accepted. A missing token is
 * `no_token` (400), and a wrong one is `invalid_token` (401).
 */
export function requireBearer(token: string | undefined): RequestHandler {
  return (request, _response, next) => {
    const header = request.headers.authorization?.trim() ?? '';
    if (header === '' || /^bearer$/i.test(header)) throw new ApiRefusal('no_token');
    const [, presentedToken] = /^bearer\s+(\S+)$/i.exec(header) ?? [];
    if (presentedToken === undefined || (token !== undefined && !isSameToken(presentedToken, token))) {
      throw new ApiRefusal('invalid_token');
    }
    next();
  };
}

function isSameToken(presentedToken: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(presentedToken), digest(token));
}
