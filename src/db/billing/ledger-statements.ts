/**
 * Parts of statements that move money in the same commit as the task that it is for. A movement takes from one account and
 * gives to another; `move_money`, a function of the database, makes what `budget` gets from the others, so that entries add
 * up to zero. Where the task counts in budgets, their counters move with it. Counters are locked in the order of their
 * scopes, always, so that nobody waits in a ring.
 */

/** The first day of a time's month, by UTC. A task counts in the month of its request, whenever it ends. */
export const monthOf = (time: string) => `date_trunc('month', ${time} AT TIME ZONE 'UTC')::date`;

/** For TASK_COLUMNS. A final cost is what was delivered, unless the upstream may have billed more. */
export const COST_COLUMNS = `
  trim_scale(task.unit_price * task.requested_count)::text AS "estimatedCost",
  CASE WHEN task.finished_at IS NOT NULL AND task.held = 0 THEN trim_scale(task.spent)::text END AS "finalCost",
  task.currency`;

/** What a movement changes in each account, in SQL over the columns of a task; absent: nothing. */
interface Changes {
  reserved?: string;
  spent?: string;
  held?: string;
}

/**
 * A part of a statement that writes a movement for the task of its part `task`, and brings its budgets' counters up to it.
 * The statement must count the rows of `movement`, or it is not run. Nothing where the task has no price, or the condition does
 * not hold: then `move_money` is not called, and nobody pays for tables that nothing is written to (as parts of the statement
 * they cost it a fifth more).
 */
export function book(kind: string, changes: Changes, condition = 'true'): string {
  const { reserved = '0', spent = '0', held = '0' } = changes;
  return `
  movement AS (
    SELECT move_money(id, workspace_id, key_id, end_user_id, currency, counted_in, ${monthOf('created_at')},
                      (${kind})::ledger_kind, ${reserved}, ${spent}, ${held})
    FROM task WHERE unit_price IS NOT NULL AND ${condition}
  )`;
}

/** The budgets that a request is bound by, as a join's right side: `subject (scope, subject)`. Arguments are parameters. */
export function subjectsOf({ workspace, key, endUser }: Record<'workspace' | 'key' | 'endUser', string>) {
  return `(VALUES ('WORKSPACE'::budget_scope, ${workspace}::uuid::text), ('KEY', ${key}::uuid::text),
                  ('END_USER', ${endUser}::text)) subject (scope, subject)`;
}

/**
 * The budgets of a request (`mine`), and their counters in its currency, locked (`room`): what others have reserved until
 * this very moment is seen. Without budgets nothing is locked and nobody waits. Arguments are parameters.
 */
export function admit({ currency, ...subjects }: Parameters<typeof subjectsOf>[0] & { currency: string }) {
  return `mine AS MATERIALIZED (
    SELECT budget.* FROM ${subjectsOf(subjects)}
    JOIN budgets budget USING (scope, subject) WHERE budget.workspace_id = ${subjects.workspace}::uuid
  ), room AS MATERIALIZED (
    SELECT mine.scope, mine.amount - counter.reserved - counter.spent - counter.held AS remaining
    FROM mine JOIN budget_counters counter USING (workspace_id, scope, subject)
    WHERE counter.currency = ${currency}::text AND counter.month = ${monthOf('now()')}
    ORDER BY counter.scope FOR UPDATE OF counter
  )`;
}

/** Whether each budget with a limit has room. Not when its counter is not there yet, or the cost is not known in its currency. */
export const HAS_ROOM = (cost: string, currency: string) => `NOT EXISTS (
      SELECT FROM mine WHERE amount IS NOT NULL AND NOT EXISTS (
        SELECT FROM room WHERE room.scope = mine.scope AND mine.currency = ${currency}::text AND room.remaining >= ${cost}))`;

/** The marks of the budgets that a request counts in. */
export const COUNTED_IN = `(SELECT sum(CASE scope WHEN 'WORKSPACE' THEN 1 WHEN 'KEY' THEN 2 ELSE 4 END) FROM mine)`;
