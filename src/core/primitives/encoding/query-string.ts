import { BadRequest } from '../../errors.js';
import { decodeUtf8 } from './utf8.js';

/** Parameters by name. Several values of one name are a list. Without a prototype, so that `__proto__` is a name like any other. */
export type QueryParameters = Record<string, string | string[] | undefined>;

/**
 * Parses a query string as `URLSearchParams` does, but throws BadRequest with the offset of a byte that is not UTF-8, which
 * `URLSearchParams` replaces. `search` may begin with a question mark.
 */
export function parseQueryString(search: string | null | undefined): QueryParameters {
  const parameters = Object.create(null) as QueryParameters;
  for (const pair of (search ?? '').replace(/^\?/, '').split('&')) {
    if (pair === '') continue;
    const [name = '', ...rest] = pair.split('=');
    const key = decode(name, 'A name of a parameter');
    const value = decode(rest.join('='), `The parameter \`${key.slice(0, 50)}\``);
    const present = parameters[key];
    parameters[key] = present === undefined ? value : [present, value].flat();
  }
  return parameters;
}

/** The value of a parameter that must not be repeated, because one of its values would be ignored. Throws BadRequest. */
export function singleParameter(parameters: QueryParameters, name: string): string | undefined {
  const value = parameters[name];
  if (!Array.isArray(value)) return value;
  throw new BadRequest(`The parameter \`${name}\` occurs ${value.length} times. Send it once.`);
}

/** Throws BadRequest for a parameter that is not in the list: what it asks for would not happen. */
export function requireKnownParameters(parameters: QueryParameters, known: readonly string[]): void {
  const unknown = Object.keys(parameters).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new BadRequest(
    `Unknown query parameter \`${unknown.slice(0, 50)}\`. Use any of: ${known.map((name) => `\`${name}\``).join(', ')}.`,
  );
}

/** Node's parser accepts ASCII only in a URL, so every other byte is percent-encoded. */
function decode(text: string, subject: string): string {
  if (!/[%+]/.test(text)) return text;
  const bytes = text
    .replaceAll('+', ' ')
    .replace(/%([0-9a-f]{2})/gi, (_escape, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return decodeUtf8(Buffer.from(bytes, 'latin1'), subject);
}
