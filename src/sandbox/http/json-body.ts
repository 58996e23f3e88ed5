import express, { type RequestHandler } from 'express';
import { readCallerJson } from '../../core/primitives/encoding/caller-json.js';
import { BadRequest } from '../../core/errors.js';
import { ApiRefusal } from './api-refusal.js';

/** Far more than a submission or fifty IDs need. */
const MAX_BODY_SIZE = '100kb';

/**
 * Middleware that reads the body as JSON, whatever its content type is. @throws ApiRefusal `bad_request` if it cannot be kept
 * exactly.
 */
export const jsonBody: RequestHandler[] = [
  express.raw({ limit: MAX_BODY_SIZE, type: () => true }),
  (request, _response, next) => {
    const bytes = request.body as unknown;
    try {
      request.body = Buffer.isBuffer(bytes) && bytes.length > 0 ? readCallerJson(bytes) : {};
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error;
      throw new ApiRefusal('bad_request', error.message, { cause: error });
    }
    next();
  },
];
