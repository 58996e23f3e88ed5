/**
 * Gives a process a wrong clock: `node --import <this file> main.js`, with CLOCK_OFFSET_FILE in the environment. The file holds
 * milliseconds, which are added to the present time of `Date`. It is read again all the time, so writing it makes the clock
 * jump. A missing or empty file is no offset. `performance.now()`, timers and the times of files stay right, as they do on a
 * machine whose clock is set.
 */
import { readFileSync } from 'node:fs';

const file = process.env['CLOCK_OFFSET_FILE'] ?? '';
/** Reading a file takes microseconds, but some code asks for the time for every row. */
const REREAD_AFTER_MS = 20;

let offsetMs = 0;
let readAt = -Infinity;

function currentOffsetMs(): number {
  if (performance.now() - readAt < REREAD_AFTER_MS) return offsetMs;
  readAt = performance.now();
  try {
    offsetMs = Number(readFileSync(file, 'utf8'));
  } catch {
    offsetMs = 0;
  }
  return offsetMs;
}

const RightDate = globalThis.Date;
const now = () => RightDate.now() + currentOffsetMs();

/** A Proxy, so that `instanceof`, `Date.UTC` and everything else stay the same. */
if (file !== '')
  globalThis.Date = new Proxy(RightDate, {
    get: (target, property, receiver): unknown =>
      property === 'now' ? now : Reflect.get(target, property, receiver),
    apply: () => new RightDate(now()).toString(),
    construct: (target, given, newTarget) =>
      Reflect.construct(target, given.length === 0 ? [now()] : given, newTarget) as Date,
  });
