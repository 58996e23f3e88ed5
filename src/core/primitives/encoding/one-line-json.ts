const LINE_BREAKS = /[\u0085\u2028\u2029]/g;

/** JSON without any character that ends a line, for the events of a stream. */
export function oneLineJson(value: unknown): string {
  return withoutLineBreaks(JSON.stringify(value));
}

/**
 * Escapes what ends a line in JSON that `JSON.stringify` wrote. JSON allows three such characters in a string, and line splitters
 * such as Python's `splitlines` break an event of a stream there.
 */
export function withoutLineBreaks(json: string): string {
  return json.replace(
    LINE_BREAKS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
