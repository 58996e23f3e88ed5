import { parseUrl } from '../primitives/url.js';

/** The origin of pages: exactly this one, or every one that matches. */
export type OriginRule = string | RegExp;

/** `https://*.example.com`, with a port or without. */
const WILDCARD = /^(https?:\/\/)\*((?:\.[a-z0-9-]+){2,}(?::\d+)?)$/i;
/** Origins of apps, such as capacitor://localhost and chrome-extension://<id>. Browsers report files as `null`. */
const APP_ORIGIN = /^(?!file:)[a-z][a-z0-9+.-]*:\/\/[a-z0-9._-]+(?::\d+)?$/i;

/**
 * Reads an origin as an operator writes it. Browsers send scheme and host in lower case and leave out the default port, so the
 * rule does as well. Null when no page can have this origin.
 */
export function parseOriginRule(text: string): OriginRule | null {
  const [, scheme, domain] = WILDCARD.exec(text) ?? [];
  if (scheme !== undefined && domain !== undefined) {
    // Only the dots of an origin have a meaning in an expression.
    const suffix = parseUrl(`${scheme}x${domain}`)
      ?.origin.slice(scheme.length + 1)
      .replaceAll('.', '\\.');
    return suffix ? new RegExp(`^${scheme.toLowerCase()}([a-z0-9_-]+\\.)*[a-z0-9_-]+${suffix}$`) : null;
  }
  const url = parseUrl(text);
  if (!url) return null;
  if (/^https?:$/.test(url.protocol)) return isBareOrigin(text, url) ? url.origin : null;
  return APP_ORIGIN.test(text) ? text.toLowerCase() : null;
}

/** Whether a page with this origin may send requests and connect. Null: every page may. */
export function isOriginAllowed(origin: string, rules: readonly OriginRule[] | null): boolean {
  if (rules === null) return true;
  return rules.some((rule) => (typeof rule === 'string' ? rule === origin : rule.test(origin)));
}

function isBareOrigin(text: string, { pathname, search, hash, username, password, hostname }: URL): boolean {
  return (
    /^https?:\/\/[^/?#@*\s]+$/i.test(text) &&
    pathname === '/' &&
    `${search}${hash}${username}${password}` === '' &&
    !hostname.includes('*')
  );
}
