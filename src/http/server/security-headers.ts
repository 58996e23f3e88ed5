import { type IncomingMessage, type ServerResponse } from 'node:http';
import helmet from 'helmet';

/** Helmet with cross-origin resources allowed, because CORS decides which origins may read responses. */
export const helmetMiddleware = helmet({ crossOriginResourcePolicy: { policy: 'cross-origin' } });

/** Returns helmet's headers for responses that bypass Express. They are the same for every request. */
export function securityHeaders(): Record<string, string> {
  const headers: Record<string, string> = {};
  const response = {
    setHeader: (name: string, value: string) => (headers[name.toLowerCase()] = value),
    removeHeader: () => undefined,
  };
  helmetMiddleware({} as IncomingMessage, response as unknown as ServerResponse, () => undefined);
  return headers;
}
