import express, { type Router } from 'express';
import { type TokenSigning } from '../../services/access/token-signing.js';

/** Clients that cache the keys see a new SECRET_KEY this late. The previous key verifies for longer than that. */
const MAX_AGE_SECONDS = 300;

/** Publishes the public keys of client tokens at `/.well-known/jwks.json` (RFC 7517, RFC 8615). */
export function jwksRoutes(tokenSigning: TokenSigning): Router {
  const router = express.Router();
  router.get('/.well-known/jwks.json', (_request, response) => {
    response.setHeader('cache-control', `public, max-age=${MAX_AGE_SECONDS}`);
    response.type('application/jwk-set+json').json({ keys: tokenSigning.publicJwks });
  });
  return router;
}
