import { type IncomingMessage } from 'node:http';
import express, { type Request, type Response } from 'express';

const parseJson = express.json({ limit: '1mb' });

/**
 * Reads a JSON object or list from the body of a request outside Express, as Express does on all other paths. Returns an
 * empty object for an empty body and for other content types. Rejects with an error that core/public-error.ts translates.
 */
export function readJsonBody(request: IncomingMessage): Promise<unknown> {
  const expressRequest = request as Request;
  return new Promise((resolve, reject) => {
    // The parser does not use the response.
    parseJson(expressRequest, {} as Response, (error?: Error) => {
      if (error === undefined) resolve(expressRequest.body ?? {});
      else reject(error);
    });
  });
}
