/**
 * Amounts are decimal numbers as text, never floats, and PostgreSQL's `numeric` adds them up. Both patterns fit into
 * numeric(24, 8).
 */
export const PRICE_PATTERN = /^\d{1,6}(\.\d{1,8})?$/;
const AMOUNT_PATTERN = /^\d{1,12}(\.\d{1,8})?$/;
/** The form of an ISO 4217 code. The price list determines which currencies exist. */
export const CURRENCY_PATTERN = /^[A-Z]{3}$/;

export function isAmount(text: string): boolean {
  return AMOUNT_PATTERN.test(text);
}

/** Whose spending a budget limits. */
export const BUDGET_SCOPES = ['WORKSPACE', 'API_KEY', 'END_USER'] as const;
export type BudgetScope = (typeof BUDGET_SCOPES)[number];

/** A limit on one month's spending, and what it has been used for. Amounts are decimals as text, in one currency. */
export interface Budget {
  scope: BudgetScope;
  /** The ID of the workspace or the API key, or the workspace's own ID of its end user. */
  scopeId: string;
  /** YYYY-MM, in UTC. */
  month: string;
  currency: string;
  limit: string;
  /** Reserved for tasks that are not final yet. */
  reserved: string;
  /** Cost of delivered images. */
  spent: string;
  /** Cost of tasks that ended without a result after submission. The upstream may or may not have billed them. */
  uncertain: string;
  /** Negative when late images arrive, or the limit is lowered, after the money was spent. */
  remaining: string;
}

/** The month of a time as YYYY-MM, in UTC. */
export function utcMonth(time: Date): string {
  return time.toISOString().slice(0, 'YYYY-MM'.length);
}

/** How usage can be grouped. */
export const USAGE_GROUPINGS = ['DAY', 'MODEL', 'API_KEY', 'END_USER'] as const;
export type UsageGrouping = (typeof USAGE_GROUPINGS)[number];

/** The usage of one group of tasks in one currency. */
export interface UsageGroup {
  /** The day (YYYY-MM-DD, UTC), the model, or the ID of the API key or end user. Null groups the tasks that have none. */
  groupKey: string | null;
  /** The name of the API key. Null in other groupings. */
  keyName: string | null;
  taskCount: number;
  /** Delivered images, including late ones. */
  imageCount: number;
  /** Null when these tasks had no price at the time of the request. */
  currency: string | null;
  cost: string | null;
  reserved: string | null;
  uncertain: string | null;
}
