import { createHash, randomInt } from 'node:crypto';
import crc32 from 'crc-32';

/**
 * API keys look like `dk_<43 base62>_<6 base62>`: 43 random characters (256 bits) and a checksum, so that a typing
 * error is told from a wrong key, and a secret scanner can recognise one, without asking a database. Only the SHA-256
 * of the whole key is stored.
 */
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const FORM = /^dk_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})$/;

/** `dk_` and the first characters: enough for a person to tell keys apart, far too few to guess the rest. */
const PREFIX_LENGTH = 9;

/** What of a key may be shown and kept: nobody finds the rest by it. */
export interface KeyMark {
  prefix: string;
  lastFour: string;
}

/** A new key. It is shown once: what is stored is `hashApiKey` of it. */
export function newApiKey(): string {
  const secret = Array.from({ length: 43 }, () => BASE62[randomInt(62)]).join('');
  return `dk_${secret}_${checksum(secret)}`;
}

/** Whether the text has the form of a key and its checksum fits. Says nothing about whether anyone was given it. */
export function isWellFormedApiKey(text: string): boolean {
  const [, secret, sum] = FORM.exec(text) ?? [];
  return secret !== undefined && checksum(secret) === sum;
}

/** What the database keeps: looking a key up by its hash takes the same time for every wrong key. */
export function hashApiKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

export function markOf(key: string): KeyMark {
  return { prefix: key.slice(0, PREFIX_LENGTH), lastFour: key.slice(-4) };
}

function checksum(secret: string): string {
  let rest = crc32.str(secret) >>> 0;
  let text = '';
  for (let digit = 0; digit < 6; digit += 1) {
    text = BASE62[rest % 62] + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}
