import { isIP } from 'node:net';
import { z } from 'zod';
import { parseOriginRule } from '../core/access/origins.js';
import { parseUrl, withoutTrailingSlashes } from '../core/primitives/url.js';

const BASE_URL_RULE = 'must be an http or https URL, such as https://images.example.com';
/** Letters, digits and dashes between dots. Underscores occur in names of containers. */
const HOST_NAME = /^(?!.*\.\.)[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/i;

/** A base URL, to which paths are appended. Without a trailing slash, and as URLs are written: lower case, no default port. */
export const baseUrlSchema = z.string().transform((text, context) => {
  const url = parseUrl(text);
  const fault = faultOfBaseUrl(text, url);
  if (url && fault === null) return withoutTrailingSlashes(url.href);
  context.addIssue({ code: 'custom', message: fault ?? BASE_URL_RULE });
  return z.NEVER;
});

/** An address to listen on. An IPv6 address may be in brackets, as in a URL. */
export const listenAddressSchema = z
  .string()
  .transform((text) => text.replace(/^\[(.+)\]$/, '$1'))
  .refine((text) => isIP(text) !== 0 || (HOST_NAME.test(text) && !/^[\d.]+$/.test(text)), {
    error:
      'must be an IP address or a host name without protocol and port, such as 127.0.0.1. Write 0.0.0.0 or :: for all interfaces, and the port as PORT',
  });

/** The address of an HTTP proxy. curl and others take a host and port without a protocol, so this does as well. */
export const proxyUrlSchema = z.string().transform((text, context) => {
  const url = parseUrl(text.includes('://') ? text : `http://${text}`);
  if (url && /^https?:$/.test(url.protocol) && url.pathname === '/' && !url.search && !url.hash)
    return url.href;
  context.addIssue({
    code: 'custom',
    message:
      'must be the URL of an HTTP proxy, such as http://proxy.example.com:3128. SOCKS proxies are not supported',
  });
  return z.NEVER;
});

function faultOfBaseUrl(text: string, url: URL | null): string | null {
  if (!url || !/^https?:\/\//i.test(text) || url.hostname === '') return BASE_URL_RULE;
  if (url.search !== '' || url.hash !== '' || text.endsWith('?') || text.endsWith('#'))
    return 'must not have a query or fragment, because paths are appended to it. Leave out ? and # and what follows';
  if (url.username !== '' || url.password !== '')
    return 'must not contain a user name or password. Leave out what is before the @';
  if (/[*<>{}|\s]/.test(decodeURI(url.hostname)) || /\s/.test(text))
    return `${BASE_URL_RULE}, without wildcards and spaces`;
  return null;
}

/** Why no page has this origin and what to write instead, as the end of a sentence. Null when a page can have it. */
export function faultOfOrigin(text: string): string | null {
  if (parseOriginRule(text) !== null) return null;
  if (text === '*') return 'must not contain *. Without ALLOWED_ORIGINS, every origin is allowed';
  if (text === 'null' || text.startsWith('file:'))
    return 'must not contain the origin of files (null), because every sandboxed page of any site has it. Serve the page from a host';
  const url = parseUrl(text.includes('://') ? text : `https://${text}`);
  const origin = url && `${url.protocol}//${url.host}`;
  return `must be origins such as https://app.example.com, https://*.example.com or capacitor://localhost, separated by commas${
    origin !== null && origin !== text && parseOriginRule(origin) !== null
      ? `. Instead of ${text}, write ${origin}`
      : ''
  }`;
}
