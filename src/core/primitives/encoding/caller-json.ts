import { BadRequest } from '../../errors.js';
import {
  beginsNumber,
  endOfString,
  isExact,
  indexBelowDepth,
  isQuote,
  jsonEnd,
  numberAt,
} from './json-scanner.js';
import { decodeUtf8, withoutByteOrderMark } from './utf8.js';

const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|.)/gs;
const SURROGATE_ESCAPE = /\\u[dD][89a-fA-F]/;

/** Levels of objects and lists. Deeper texts are attacks: a million levels in 1 MB took a second to read. */
const MAX_DEPTH = 200;

/** Where a JSON text comes from, for messages: "The request body", "The parameter `variables`". */
const BODY = 'The request body';

/**
 * Reads JSON that a caller sends, on every transport. The value is exactly what the bytes say, or BadRequest says what is wrong
 * and at which byte: bytes that are not UTF-8, lone surrogates, numbers that would be rounded, fields that occur twice (RFC 7493,
 * I-JSON), and more than 200 levels. A byte order mark is ignored.
 */
export function readCallerJson(bytes: Uint8Array, subject = BODY): unknown {
  return parseCallerJson(decodeUtf8(bytes, subject), subject);
}

/** The same for a text that has been decoded. */
export function parseCallerJson(text: string, subject = BODY): unknown {
  const json = withoutByteOrderMark(text);
  const refuse: Refuse = (index, problem, cause) => {
    const offset = Buffer.byteLength(text.slice(0, index + text.length - json.length));
    return new BadRequest(`${subject} ${problem(`at byte ${offset}`)}`, { cause });
  };
  const tooDeep = indexBelowDepth(json, MAX_DEPTH);
  if (tooDeep >= 0)
    throw refuse(tooDeep, (place) => {
      return `is nested more than ${MAX_DEPTH} levels deep ${place}. Send fewer levels, or the inner ones as a text.`;
    });
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    const hint = json.includes('\0') ? ' It has NUL characters, as UTF-16 does: encode it as UTF-8.' : '';
    throw refuse(
      jsonEnd(json),
      (place) => `is not valid JSON ${place}. Correct it and send it again.${hint}`,
      cause,
    );
  }
  if (SURROGATE_ESCAPE.test(json)) checkSurrogates(json, refuse);
  checkTokens(json, refuse);
  return value;
}

/** Creates the error for a problem at an index. */
type Refuse = (index: number, problem: (place: string) => string, cause?: unknown) => BadRequest;

/** The text is valid UTF-8, so half of a pair can only be an escape. */
function checkSurrogates(json: string, refuse: Refuse): void {
  let high: RegExpExecArray | null = null;
  const refuseLone = ({ index, 0: escape }: RegExpExecArray) =>
    refuse(index, (place) => {
      const advice = 'Send whole characters: an emoji that was cut in half is none.';
      return `has a lone surrogate (${escape}) ${place}. ${advice}`;
    });
  for (const match of json.matchAll(ESCAPE)) {
    const code = parseInt(match[1] ?? '0', 16);
    const isLow = code >= 0xdc00 && code <= 0xdfff;
    if (high && isLow && match.index === high.index + high[0].length) {
      high = null;
      continue;
    }
    if (high) throw refuseLone(high);
    if (isLow) throw refuseLone(match);
    high = code >= 0xd800 && code <= 0xdbff ? match : null;
  }
  if (high) throw refuseLone(high);
}

/** Looks at what is outside the strings of a valid JSON text, and at the names of fields. */
function checkTokens(json: string, refuse: Refuse): void {
  /** The names of each object that has not ended. Null for a list. */
  const open: (Set<string> | null)[] = [];
  let index = 0;
  while (index < json.length) {
    const code = json.charCodeAt(index);
    if (isQuote(code)) {
      const end = endOfString(json, index);
      if (isFollowedByColon(json, end)) checkName(json, { start: index, end, names: open.at(-1) }, refuse);
      index = end;
    } else if (beginsNumber(code)) {
      const literal = numberAt(json, index);
      if (!isExact(literal)) throw refuseNumber(literal, index, refuse);
      index += literal.length;
    } else {
      if (code === 0x7b || code === 0x5b) open.push(code === 0x7b ? new Set() : null);
      else if (code === 0x7d || code === 0x5d) open.pop();
      index += 1;
    }
  }
}

function isFollowedByColon(json: string, start: number): boolean {
  let index = start;
  while (json.charCodeAt(index) <= 0x20) index += 1;
  return json.charCodeAt(index) === 0x3a;
}

function checkName(
  json: string,
  { start, end, names }: { start: number; end: number; names: Set<string> | null | undefined },
  refuse: Refuse,
): void {
  const literal = json.slice(start, end);
  const name = literal.includes('\\') ? (JSON.parse(literal) as string) : literal.slice(1, -1);
  if (names?.has(name)) {
    const shown = name.slice(0, 50);
    throw refuse(start, (place) => `has the field "${shown}" twice in one object ${place}. Send it once.`);
  }
  names?.add(name);
}

function refuseNumber(literal: string, index: number, refuse: Refuse): BadRequest {
  const shown = literal.length > 50 ? `${literal.slice(0, 50)}…` : literal;
  return refuse(index, (place) => {
    const limit = `integers are up to ±${Number.MAX_SAFE_INTEGER} (2^53 - 1), and fractions are 64-bit doubles`;
    return `has the number ${shown} ${place}, which cannot be kept exactly: ${limit}. Send it as a string.`;
  });
}
