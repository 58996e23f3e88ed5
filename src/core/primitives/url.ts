import { readFileSync } from 'node:fs';

/** The root is the same for the sources (`src/`) and the build (`dist/src/`). */
const PACKAGE_FILE = import.meta.url.replace(
  /(\/dist)?\/src\/core\/primitives\/url\.[jt]s$/,
  '/package.json',
);
const { version } = JSON.parse(readFileSync(new URL(PACKAGE_FILE), 'utf8')) as { version: string };
/** Sent with every outgoing request, because some hosts refuse requests without one. */
export const USER_AGENT = `Darkroom/${version}`;

const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

/** The port of an http or https URL, or of its parts. NaN for another protocol without a port. */
export function effectivePort({
  protocol,
  port,
}: {
  protocol?: string | undefined;
  port?: string | undefined;
}): number {
  return Number(port || DEFAULT_PORTS[protocol ?? '']);
}

/**
 * Parses a URL. Null when the text is not one. Does not use `URL.canParse`, because in Node 20 that rejects texts
 * with letters such as ü or é once the JIT compiler has optimized it.
 */
export function parseUrl(text: string, base?: string): URL | null {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
}

/** The text without the slashes at its end. */
export function withoutTrailingSlashes(text: string): string {
  let length = text.length;
  while (text[length - 1] === '/') length -= 1;
  return text.slice(0, length);
}
