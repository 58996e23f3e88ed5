import { type IncomingMessage, type ServerResponse } from 'node:http';
import helmet from 'helmet';

/** Answers are for pages of other origins too: CORS says which. */
export const secured = helmet({ crossOriginResourcePolicy: { policy: 'cross-origin' } });

/** The same headers as a list, for answers that do not pass through express: they are alike for every request. */
export function securityHeaders(): Record<string, string> {
  const headers: Record<string, string> = {};
  const response = {
    setHeader: (name: string, value: string) => (headers[name.toLowerCase()] = value),
    removeHeader: () => undefined,
  };
  secured({} as IncomingMessage, response as unknown as ServerResponse, () => undefined);
  return headers;
}
