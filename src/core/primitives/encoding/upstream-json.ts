import { beginsNumber, endOfString, isExact, isQuote, numberAt } from './json-scanner.js';

/** What Python's `json` module writes for floats that JSON does not have. */
const NOT_A_NUMBER = /-?Infinity|NaN/y;

/**
 * Parses JSON that an upstream sends, because refusing a reply can lose what was paid for. Numbers that would be rounded become
 * strings with the same digits. Undefined when the text is not JSON, even with the faults of common JSON writers corrected: NaN,
 * control characters and unknown escapes in strings, and commas before a closing bracket.
 */
export function parseUpstreamJson(text: string): unknown {
  return tryParse(rewrite(text, { isFaulty: false })) ?? tryParse(rewrite(text, { isFaulty: true }));
}

function tryParse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function rewrite(text: string, { isFaulty }: { isFaulty: boolean }): string {
  let [result, copied, index] = ['', 0, 0];
  const replace = (length: number, replacement: string) => {
    result += text.slice(copied, index) + replacement;
    index += length;
    copied = index;
  };
  while (index < text.length) {
    const code = text.charCodeAt(index);
    const word = isFaulty ? notANumberAt(text, index) : null;
    if (isQuote(code)) {
      const literal = text.slice(index, endOfString(text, index));
      if (isFaulty) replace(literal.length, correctString(literal));
      else index += literal.length;
    } else if (word !== null) replace(word.length, 'null');
    else if (beginsNumber(code)) {
      const literal = numberAt(text, index) || '-';
      if (isExact(literal)) index += literal.length;
      else replace(literal.length, `"${literal}"`);
    } else if (isFaulty && code === 0x2c && /^,\s*[}\]]/.test(text.slice(index, index + 100))) replace(1, '');
    else index += 1;
  }
  return result + text.slice(copied);
}

function notANumberAt(text: string, start: number): string | null {
  NOT_A_NUMBER.lastIndex = start;
  return NOT_A_NUMBER.exec(text)?.[0] ?? null;
}

function correctString(literal: string): string {
  return (
    literal
      .replace(/\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|\\/g, (escape) => (escape === '\\' ? '\\\\' : escape))
      // eslint-disable-next-line no-control-regex -- JSON does not allow them unescaped
      .replace(/[\u0000-\u001f]/g, (character) => JSON.stringify(character).slice(1, -1))
  );
}
