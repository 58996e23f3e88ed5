import { createHash, randomInt } from 'node:crypto';
import crc32 from 'crc-32';

/**
 * An API key has the form `dk_<43 base62>_<6 base62>`: 43 random characters (256 bits) and a checksum. The checksum
 * tells a typing error from an unknown key without a database query, and it lets secret scanners recognize a key. Only
 * the SHA-256 of the whole key is stored.
 */
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const API_KEY_PATTERN = /^dk_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})$/;

/** `dk_` and six characters: enough for a person to tell keys apart, far too few to guess the rest. */
const API_KEY_PREFIX_LENGTH = 9;

/** The parts of a key that may be stored and displayed. */
export type ApiKeyHint = ReturnType<typeof apiKeyHint>;

/** Generates a new key. It is shown to its owner once, and only `hashApiKey` of it is stored. */
export function generateApiKey(): string {
  const secret = Array.from({ length: 43 }, () => BASE62[randomInt(62)]).join('');
  return `dk_${secret}_${checksum(secret)}`;
}

/** Whether the text has the form of a key and a valid checksum. Such a key may still be unknown. */
export function isWellFormedApiKey(text: string): boolean {
  const [, secret, sum] = API_KEY_PATTERN.exec(text) ?? [];
  return secret !== undefined && checksum(secret) === sum;
}

/** The hash that the database stores. Looking up a key by its hash takes the same time for every unknown key. */
export function hashApiKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

export function apiKeyHint(key: string) {
  return { prefix: key.slice(0, API_KEY_PREFIX_LENGTH), lastFour: key.slice(-4) };
}

function checksum(secret: string): string {
  let remaining = crc32.str(secret) >>> 0;
  let text = '';
  for (let digit = 0; digit < 6; digit += 1) {
    text = BASE62[remaining % 62] + text;
    remaining = Math.floor(remaining / 62);
  }
  return text;
}
