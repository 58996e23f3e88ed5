/**
 * The URL that a text is; null where it is none. Not by URL.canParse: of Node 20 it calls a text with ü or é no URL once the
 * code is hot.
 */
export function parseUrl(text: string, base?: string): URL | null {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
}
