import express, { type Router } from 'express';
import { type TokenSigning } from '../../services/access/token-signing.js';

/** A change of SECRET_KEY is seen this late by who keeps the keys; the old one verifies for longer. */
const MAX_AGE_SECONDS = 300;

/** Publishes the keys that our tokens are signed with, as RFC 7517 and RFC 8615 have it. */
export function signingKeyRoutes(signing: TokenSigning): Router {
  const router = express.Router();
  router.get('/.well-known/jwks.json', (_request, response) => {
    response.setHeader('cache-control', `public, max-age=${MAX_AGE_SECONDS}`);
    response.type('application/jwk-set+json').json({ keys: signing.publishedKeys });
  });
  return router;
}
