import { type RequestHandler, type Response } from 'express';
import { type Caller, type Scope } from '../../core/access/caller.js';
import { type ClientAddressOf } from '../../core/access/client-address.js';
import { type Access, requireScope } from '../../services/access/access.js';
import { type RateLimits } from '../../services/limits/rate-limits.js';
import { rateHeaders } from '../limits/rate-limit-headers.js';

/** What a request passes before it is read. */
export interface Entry {
  access: Access;
  addressOf: ClientAddressOf;
  rateLimits: RateLimits;
}

/** Lets a request on whose caller has the scope and is within its limits; the answer tells how those stand. */
export function identify({ access, addressOf, rateLimits }: Entry, scope: Scope): RequestHandler {
  return async (request, response, next) => {
    const caller = await access.authenticate(request.headers.authorization, addressOf(request));
    requireScope(caller, scope);
    const rate = await rateLimits.admitRequests(caller, 1);
    if (rate) response.setHeaders(new Map(Object.entries(rateHeaders(rate))));
    response.locals.caller = caller;
    next();
  };
}

/** Who asks, behind `identify`. */
export function callerOf({ locals }: Response): Caller {
  return locals.caller as Caller;
}
