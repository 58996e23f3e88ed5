import { type Request, type RequestHandler, type Response, Router } from 'express';
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
const authorizationOf: CredentialOf = ({ headers }) => headers.authorization;

/** Less than the 5 s after which a revoked key must be refused, with the time for which keys are cached. */
const TRUSTED_FOR_MS = 1_000;

/** Whether a request that was authenticated at this time, by the monotonic clock, needs not be authenticated again. */
export function isRecentlyAuthenticated(atMs: number): boolean {
  return performance.now() - atMs < TRUSTED_FOR_MS;
}

type Authentication = Pick<AuthServices, 'access' | 'clientAddressOf'>;

/** Creates middleware that requires a caller. Throws Unauthenticated. */
export function authenticate(
  { access, clientAddressOf }: Authentication,
  credentialOf = authorizationOf,
): RequestHandler {
  return async (request, response, next) => {
    response.locals.caller = await access.authenticate(credentialOf(request), clientAddressOf(request));
    response.locals.authenticatedAt = performance.now();
    next();
  };
}

/**
 * Creates middleware for behind the one that reads a body. A body can arrive for minutes, and its key can be revoked meanwhile.
 * Throws Unauthenticated.
 */
export function authenticateAgain(services: Authentication, credentialOf = authorizationOf): RequestHandler {
  const again = authenticate(services, credentialOf);
  return (request, response, next) =>
    isRecentlyAuthenticated(response.locals.authenticatedAt as number)
      ? next()
      : again(request, response, next);
}

/**
 * Creates middleware behind `authenticate` that requires the scope, counts the request and sets the rate limit headers. Throws
 * Forbidden and RateLimited.
 */
function admit({ rateLimits }: Pick<AuthServices, 'rateLimits'>, scope: Scope): RequestHandler {
  return async (_request, response, next) => {
    const caller = callerOf(response);
    requireScope(caller, scope);
    const rateLimit = await rateLimits.countRequests(caller, 1);
    if (rateLimit) response.setHeaders(new Map(Object.entries(rateLimitHeaders(rateLimit))));
    next();
  };
}

/** Creates middleware of both kinds. */
export function authorize(
  services: Omit<AuthServices, 'bodies'>,
  scope: Scope,
  credentialOf = authorizationOf,
): RequestHandler {
  return Router().use(authenticate(services, credentialOf), admit(services, scope));
}

/** Returns the caller that a middleware stored in the response. */
export function callerOf({ locals }: Response): Caller {
  return locals.caller as Caller;
}
