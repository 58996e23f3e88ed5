import { type UserError } from '../primitives/user-error.js';

export const LIMIT_NAMES = [
  'requestsPerMinute',
  'generationsPerMinute',
  /** Tasks that are not final yet. */
  'generationsInFlight',
  /** Open connections: WebSockets, event streams and held requests. */
  'connections',
] as const;

/** Usage limits of an API key, a client token, an end user or a workspace. Absent or null: no limit of its own. */
export type Limits = { [Name in (typeof LIMIT_NAMES)[number]]?: number | null };

/** The largest value of a limit. It exceeds what one installation serves, so a larger value is a typing error. */
export const MAX_LIMIT = 1_000_000;

/** Returns the limits that are set, and drops every other property. */
export function definedLimits(limits: Limits | null | undefined): Limits {
  const entries = LIMIT_NAMES.map((name) => [name, limits?.[name]] as const);
  return Object.fromEntries(entries.filter(([, value]) => typeof value === 'number'));
}

/**
 * Returns the errors of requested limits. They must not exceed the limits of the grantor, the caller that creates the key or
 * token.
 */
export function validateLimits(limits: Limits, grantorLimits: Limits = {}): UserError[] {
  return LIMIT_NAMES.flatMap((name) => {
    const value = limits[name];
    if (value == null) return [];
    const max = grantorLimits[name] ?? MAX_LIMIT;
    if (Number.isInteger(value) && value >= 1 && value <= max) return [];
    const message = `${name} must be an integer from 1 to ${max}, but it is ${value}. Use a number in that range, or omit it to set no separate limit.`;
    return [{ code: 'INVALID_LIMITS', message, field: ['input', 'limits', name] }];
  });
}
