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
