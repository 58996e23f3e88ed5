import { BadRequest } from '../../errors.js';
import { decodeUtf8 } from './utf8.js';

/**
 * The text of a header whose value is stored. Node decodes headers as Latin-1. Throws BadRequest for bytes that are not UTF-8,
 * and for a header that is repeated, which Node joins to one value.
 */
export function headerText(values: readonly string[] | undefined, name: string): string | undefined {
  if (values === undefined) return undefined;
  if (values.length > 1)
    throw new BadRequest(`The header \`${name}\` occurs ${values.length} times. Send it once.`);
  return decodeUtf8(Buffer.from(values[0] ?? '', 'latin1'), `The header \`${name}\``);
}
