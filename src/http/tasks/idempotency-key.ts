import { type IncomingMessage } from 'node:http';
import { headerText } from '../../core/primitives/encoding/header-text.js';

/** The header `Idempotency-Key`. Throws BadRequest if it is not UTF-8, or repeated. */
export function idempotencyKeyOf({ headersDistinct }: IncomingMessage): string | undefined {
  return headerText(headersDistinct['idempotency-key'], 'Idempotency-Key');
}
