import { type Request, type RequestHandler, type Response } from 'express';
import { type Caller, type Scope } from '../../core/access/caller.js';
import { type GetClientAddress } from '../../core/access/client-address.js';
import { type Access, requireScope } from '../../services/access/access.js';
import { type RateLimits } from '../../services/limits/rate-limits.js';
import { type RequestBodies } from '../server/request-bodies.js';
import { rateLimitHeaders } from '../limits/rate-limit-headers.js';

/** The services that authenticate requests, enforce rate limits, and then read bodies. */
export interface AuthServices {
  bodies: RequestBodies;
  access: Access;
  clientAddressOf: GetClientAddress;
  rateLimits: RateLimits;
}

/** Reads the credential of a request, such as `Bearer dk_…`. */
type CredentialOf = (request: Request) => string | undefined;

/**
 * Creates middleware that requires a caller with the scope, counts the request and sets the rate limit headers. Throws
 * Unauthenticated, Forbidden and RateLimited.
 */
export function authorize(
  { access, clientAddressOf, rateLimits }: Omit<AuthServices, 'bodies'>,
  scope: Scope,
  credentialOf: CredentialOf = ({ headers }) => headers.authorization,
): RequestHandler {
  return async (request, response, next) => {
    const caller = await access.authenticate(credentialOf(request), clientAddressOf(request));
    requireScope(caller, scope);
    const rateLimit = await rateLimits.countRequests(caller, 1);
    if (rateLimit) response.setHeaders(new Map(Object.entries(rateLimitHeaders(rateLimit))));
    response.locals.caller = caller;
    next();
  };
}

/** Returns the caller that a middleware stored in the response. */
export function callerOf({ locals }: Response): Caller {
  return locals.caller as Caller;
}
