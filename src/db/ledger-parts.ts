/**
 * Parts of statements that move money in the same commit as the task that it is for. A movement takes from one account and
 * gives to another: its entries add up to zero because what `budget` gets is made from the others. Where the task counts in
 * budgets, their counters move with it. Counters are locked in the order of their scopes, always, so that nobody waits in a ring.
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
 * Writes a movement for the task of the statement's part `task`, and brings its budgets' counters up to it. Nothing where
 * the task has no price, or the condition does not hold.
 */
export function book(kind: string, changes: Changes, condition = 'true'): string {
  const { reserved = '0', spent = '0', held = '0' } = changes;
  return `
  movement AS (
    SELECT id AS task_id, workspace_id, key_id, end_user_id, currency, counted_in, ${monthOf('created_at')} AS month,
           (${kind})::ledger_kind AS kind, ${reserved} AS reserved, ${spent} AS spent, ${held} AS held
    FROM task WHERE unit_price IS NOT NULL AND ${condition}
  ), entry AS (
    INSERT INTO ledger_entries (workspace_id, task_id, account, amount, currency, kind)
    SELECT workspace_id, task_id, leg.account::ledger_account, leg.amount, currency, kind
    FROM movement, LATERAL (VALUES ('budget', -(reserved + spent + held)), ('reserved', reserved), ('spent', spent),
                                   ('held', held)) leg (account, amount)
    WHERE leg.amount <> 0
  ), budgeted AS (
    INSERT INTO budget_counters AS counter (workspace_id, scope, subject, month, currency, reserved, spent, held)
    SELECT workspace_id, budget.scope::budget_scope, budget.subject, month, currency, reserved, spent, held
    FROM movement, LATERAL (VALUES ('END_USER', end_user_id, 4), ('KEY', key_id::text, 2),
                                   ('WORKSPACE', workspace_id::text, 1)) budget (scope, subject, bit)
    WHERE counted_in & budget.bit <> 0 ORDER BY 2
    ${ADD_TO_COUNTER}
  )`;
}

/** The end of an insert into `budget_counters AS counter`. */
export const ADD_TO_COUNTER = `
    ON CONFLICT (workspace_id, scope, subject, month, currency) DO UPDATE SET
      reserved = counter.reserved + excluded.reserved, spent = counter.spent + excluded.spent,
      held = counter.held + excluded.held`;

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
