import { type InputFault } from '../tasks/input-fault.js';

/** What a key or a token may do in a time or at once. Absent or null: no limit of its own. */
export interface Limits {
  requestsPerMinute?: number | null;
  generationsPerMinute?: number | null;
  /** Tasks that have not ended. */
  generationsInFlight?: number | null;
  /** Connections that stay open: WebSockets and event streams. */
  connections?: number | null;
}

export const LIMIT_NAMES = [
  'requestsPerMinute',
  'generationsPerMinute',
  'generationsInFlight',
  'connections',
] as const satisfies readonly (keyof Limits)[];

/** Above what one installation serves: more than this is a typing error. */
const MAX_LIMIT = 1_000_000;

/** The limits alone, without those that are not set. */
export function givenLimits(limits: Limits | null | undefined): Limits {
  const given = LIMIT_NAMES.map((name) => [name, limits?.[name]] as const);
  return Object.fromEntries(given.filter(([, value]) => typeof value === 'number'));
}

/** What is wrong with limits that somebody asks for; `held`: those of who gives them, which they cannot exceed. */
export function limitFaults(limits: Limits, held: Limits = {}): InputFault[] {
  return LIMIT_NAMES.flatMap((name) => {
    const value = limits[name];
    if (value == null) return [];
    const most = held[name] ?? MAX_LIMIT;
    if (Number.isInteger(value) && value >= 1 && value <= most) return [];
    const message = `${name} is ${value}; give 1 to ${most}, or leave it out.`;
    return [{ code: 'INVALID_LIMITS', message, field: ['input', 'limits', name] }];
  });
}
