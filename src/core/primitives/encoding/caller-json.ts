import { BadRequest } from '../../errors.js';
import {
  beginsNumber,
  endOfString,
  isExact,
  findExcess,
  isQuote,
  jsonEnd,
  numberAt,
} from './json-scanner.js';
import { decodeUtf8, withoutByteOrderMark } from './utf8.js';

/** Of `\uXXXX`. */
const ESCAPE_LENGTH = 6;
const SURROGATE_ESCAPE = /\\u[dD][89a-fA-F]/;

/**
 * Levels of objects and lists, and values in all of them, far above what callers have to send: with more values, a megabyte has 20
 * bytes or less for each. Reading one of nothing but brackets keeps the event loop busy for a tenth of a second, or for a second if
 * each is in another one, and takes twenty megabytes.
 */
const MAX = { levels: 200, values: 50_000 };

/** Where a JSON text comes from, for messages: "The request body", "The parameter `variables`". */
const BODY = 'The request body';

/**
 * Reads JSON that a caller sends, on every transport. The value is exactly what the bytes say, or BadRequest says what is wrong
 * and at which byte: bytes that are not UTF-8, lone surrogates, numbers that would be rounded, fields that occur twice (RFC 7493,
 * I-JSON), and more than 200 levels or 50,000 values. A byte order mark is ignored.
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
  const excess = findExcess(json, MAX);
  if (excess)
    throw refuse(
      excess.index,
      (place) => `has more than ${MAX[excess.of]} ${excess.of} ${place}. Send fewer.`,
    );
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
  for (let index = json.indexOf('\\'); index >= 0;) {
    const code = escapedCodeAt(json, index);
    const isPair = isHighSurrogate(code) && isLowSurrogate(escapedCodeAt(json, index + ESCAPE_LENGTH));
    if (!isPair && (isHighSurrogate(code) || isLowSurrogate(code))) throw refuseLone(json, index, refuse);
    const length = code < 0 ? 2 : ESCAPE_LENGTH;
    index = json.indexOf('\\', index + (isPair ? 2 * length : length));
  }
}

/** The code of the escape `\uXXXX` at an index of a valid JSON text, or -1 if there is none. */
function escapedCodeAt(json: string, index: number): number {
  if (json.charCodeAt(index) !== 0x5c || json.charCodeAt(index + 1) !== 0x75) return -1;
  let code = 0;
  for (let at = index + 2; at < index + ESCAPE_LENGTH; at += 1) {
    const digit = json.charCodeAt(at);
    code = code * 16 + (digit <= 0x39 ? digit - 0x30 : (digit | 0x20) - 0x57);
  }
  return code;
}

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdbff;
const isLowSurrogate = (code: number): boolean => code >= 0xdc00 && code <= 0xdfff;

function refuseLone(json: string, index: number, refuse: Refuse): BadRequest {
  const escape = json.slice(index, index + ESCAPE_LENGTH);
  return refuse(index, (place) => {
    const advice = 'Send whole characters: an emoji that was cut in half is none.';
    return `has a lone surrogate (${escape}) ${place}. ${advice}`;
  });
}

/** Most objects of a large text have one name or none, and a set for each would take longer than parsing. */
type Names = Set<string> | string | undefined;

/** Looks at what is outside the strings of a valid JSON text, and at the names of fields. */
function checkTokens(json: string, refuse: Refuse): void {
  /** The names of each object or list that has not ended. */
  const open: Names[] = [];
  let index = 0;
  while (index < json.length) {
    const code = json.charCodeAt(index);
    if (isQuote(code)) {
      const end = endOfString(json, index);
      if (isFollowedByColon(json, end)) {
        const name = nameAt(json, index, end);
        const names = open.pop();
        if (names === name || (names instanceof Set && names.has(name)))
          throw refuseName(name, index, refuse);
        open.push(withName(names, name));
      }
      index = end;
    } else if (beginsNumber(code)) {
      const literal = numberAt(json, index);
      if (!isExact(literal)) throw refuseNumber(literal, index, refuse);
      index += literal.length;
    } else {
      if (code === 0x7b || code === 0x5b) open.push(undefined);
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

function nameAt(json: string, start: number, end: number): string {
  const literal = json.slice(start, end);
  return literal.includes('\\') ? (JSON.parse(literal) as string) : literal.slice(1, -1);
}

function withName(names: Names, name: string): Names {
  if (names === undefined) return name;
  return typeof names === 'string' ? new Set([names, name]) : names.add(name);
}

function refuseName(name: string, index: number, refuse: Refuse): BadRequest {
  const shown = name.slice(0, 50);
  return refuse(index, (place) => `has the field "${shown}" twice in one object ${place}. Send it once.`);
}

function refuseNumber(literal: string, index: number, refuse: Refuse): BadRequest {
  const shown = literal.length > 50 ? `${literal.slice(0, 50)}…` : literal;
  return refuse(index, (place) => {
    const limit = `integers are up to ±${Number.MAX_SAFE_INTEGER} (2^53 - 1), and fractions are 64-bit doubles`;
    return `has the number ${shown} ${place}, which cannot be kept exactly: ${limit}. Send it as a string.`;
  });
}
