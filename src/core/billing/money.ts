/**
 * Money is never a float: amounts are decimal numbers as text, and PostgreSQL's `numeric` does the sums. Both bounds fit
 * into numeric(24, 8).
 */
const PRICE = /^\d{1,6}(\.\d{1,8})?$/;
const AMOUNT = /^\d{1,12}(\.\d{1,8})?$/;
/** The form of ISO 4217. Which currencies there are, the price list says. */
const CURRENCY = /^[A-Z]{3}$/;

export function isPrice(text: string): boolean {
  return PRICE.test(text);
}

export function isAmount(text: string): boolean {
  return AMOUNT.test(text);
}

export function isCurrency(text: string): boolean {
  return CURRENCY.test(text);
}

/** Whose spending a budget bounds. */
export const BUDGET_SCOPES = ['WORKSPACE', 'KEY', 'END_USER'] as const;
export type BudgetScope = (typeof BUDGET_SCOPES)[number];

/** What one month's spending may come to, and how it stands. Amounts are decimals as text, in one currency. */
export interface Budget {
  scope: BudgetScope;
  /** Of the workspace or the key, or the workspace's own name for its user. */
  id: string;
  /** YYYY-MM, by UTC. */
  month: string;
  currency: string;
  limit: string;
  /** For tasks that have not ended. */
  reserved: string;
  /** For pictures that were delivered. */
  spent: string;
  /** For tasks that were given up after they had been sent: the upstream may have billed them, and nobody can know. */
  held: string;
  /** Below zero where late pictures, or a lower limit, came after the money was spent. */
  remaining: string;
}

/** The month of a time, by UTC: YYYY-MM. */
export function monthOf(time: Date): string {
  return time.toISOString().slice(0, 'YYYY-MM'.length);
}

/** What usage can be added up by. */
export const USAGE_GROUPINGS = ['DAY', 'MODEL', 'KEY', 'END_USER'] as const;
export type UsageGrouping = (typeof USAGE_GROUPINGS)[number];

/** What the tasks of one group, in one currency, came to. */
export interface UsageGroup {
  /** The day (YYYY-MM-DD, UTC), the model, the id of the key or of the end user; null: tasks that have none. */
  key: string | null;
  /** The name of the key; null in other groupings. */
  name: string | null;
  tasks: number;
  /** Delivered in time, and late. */
  images: number;
  /** Null: no price was known for these tasks when they were asked for. */
  currency: string | null;
  cost: string | null;
  reserved: string | null;
  held: string | null;
}
