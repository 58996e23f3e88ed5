const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NUMBER = /-?\d[\d.eE+-]*/y;
/** Numbers with fewer characters, and without an exponent, are exact. */
const MAX_SURELY_EXACT_LENGTH = 15;

/**
 * The index behind the string that begins at `start`, or the length of the text if it does not end. Strings are most of a JSON
 * text, so they are skipped and not read, unless they have escaped quotes.
 */
export function endOfString(text: string, start: number): number {
  const end = text.indexOf('"', start + 1);
  if (end < 0) return text.length;
  if (text.charCodeAt(end - 1) !== BACKSLASH) return end + 1;
  for (let index = start + 1; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === BACKSLASH) index += 1;
    else if (code === QUOTE) return index + 1;
  }
  return text.length;
}

/** Where a text has more levels or more values than it may have, or null. The text need not be valid JSON. */
export function findExcess(
  text: string,
  max: { levels: number; values: number },
): { index: number; of: 'levels' | 'values' } | null {
  let levels = 0;
  let values = 1;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (isQuote(code)) {
      index = endOfString(text, index) - 1;
      continue;
    }
    const opens = code === 0x7b || code === 0x5b;
    if (opens) levels += 1;
    else if (code === 0x7d || code === 0x5d) levels -= 1;
    if (opens || code === 0x2c) values += 1;
    if (levels > max.levels) return { index, of: 'levels' };
    if (values > max.values) return { index, of: 'values' };
  }
  return null;
}

/** The literal of the number that begins at `start`, where a digit or a minus is. */
export function numberAt(text: string, start: number): string {
  NUMBER.lastIndex = start;
  return NUMBER.exec(text)?.[0] ?? '';
}

/** Whether the character at this index begins a string. */
export function isQuote(code: number): boolean {
  return code === QUOTE;
}

/** Whether the character begins a number in a JSON text, outside its strings. */
export function beginsNumber(code: number): boolean {
  return code === 0x2d || (code >= 0x30 && code <= 0x39);
}

/**
 * Whether `JSON.parse` keeps the number: an integer up to 2^53 - 1, or a fraction, which is an IEEE 754 double on both sides.
 * Beyond 2^53 - 1 doubles have no fractions, and skip integers.
 */
export function isExact(literal: string): boolean {
  if (literal.length <= MAX_SURELY_EXACT_LENGTH && !/[eE]/.test(literal)) return true;
  const value = Number(literal);
  if (!(Math.abs(value) <= Number.MAX_SAFE_INTEGER)) return false;
  // Too small for a double.
  return value !== 0 || !/^[^eE]*[1-9]/.test(literal);
}

const SPACES = /[ \t\n\r]*/y;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])|(?:true|false|null)(?!\w)/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/**
 * The index at which a text stops being JSON, or its length. Of a number, a word or an escape that is none, it is that of the
 * first character.
 */
export function jsonEnd(text: string): number {
  /** The brackets that are open. */
  const open: string[] = [];
  let expected: 'value' | 'value or end' | 'name' | 'name or end' | 'colon' | 'comma or end' = 'value';
  for (let index = 0; ;) {
    index = endOf(SPACES, text, index);
    const character = text[index];
    if (character === undefined) return index;
    const isEnd =
      character === (open.at(-1) === '{' ? '}' : ']') && open.length > 0 && expected.endsWith('end');
    if (isEnd) {
      open.pop();
      index += 1;
      expected = 'comma or end';
    } else if (expected === 'colon' || expected === 'comma or end') {
      if (character !== (expected === 'colon' ? ':' : ',') || open.length === 0) return index;
      expected = expected === 'comma or end' && open.at(-1) === '{' ? 'name' : 'value';
      index += 1;
    } else if (character === '"') {
      const end = endOfString(text, index);
      const bad = badInString(text, index + 1, end);
      if (bad !== null) return bad;
      expected = expected.startsWith('name') ? 'colon' : 'comma or end';
      index = end;
    } else if (expected.startsWith('name')) return index;
    else if (character === '{' || character === '[') {
      open.push(character);
      index += 1;
      expected = character === '{' ? 'name or end' : 'value or end';
    } else {
      const end = endOf(SCALAR, text, index);
      if (end === index) return index;
      index = end;
      expected = 'comma or end';
    }
  }
}

/** The index of the first control character, or of a backslash that begins no escape. */
function badInString(text: string, start: number, end: number): number | null {
  for (let index = start; index < end; index += 1) {
    const code = text.charCodeAt(index);
    if (code < 0x20) return index;
    if (code !== BACKSLASH) continue;
    const endOfEscape = endOf(ESCAPE, text, index);
    if (endOfEscape === index) return index;
    index = endOfEscape - 1;
  }
  return null;
}

function endOf(pattern: RegExp, text: string, start: number): number {
  pattern.lastIndex = start;
  return pattern.test(text) ? pattern.lastIndex : start;
}
