-- CreateEnum
CREATE TYPE "ledger_account" AS ENUM ('budget', 'reserved', 'spent', 'held');

-- CreateEnum
CREATE TYPE "ledger_kind" AS ENUM ('RESERVE', 'SETTLE', 'RELEASE', 'HOLD', 'ADJUST');

-- CreateEnum
CREATE TYPE "budget_scope" AS ENUM ('END_USER', 'KEY', 'WORKSPACE');

-- AlterTable
ALTER TABLE "tasks" ADD COLUMN     "counted_in" SMALLINT,
ADD COLUMN     "currency" TEXT,
ADD COLUMN     "held" DECIMAL(24,8),
ADD COLUMN     "late_count" SMALLINT NOT NULL DEFAULT 0,
ADD COLUMN     "spent" DECIMAL(24,8),
ADD COLUMN     "unit_price" DECIMAL(24,8);

-- CreateTable
CREATE TABLE "ledger_entries" (
    "id" BIGSERIAL NOT NULL,
    "transaction_id" BIGINT NOT NULL DEFAULT ((pg_current_xact_id())::text)::bigint,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "workspace_id" UUID NOT NULL,
    "task_id" UUID NOT NULL,
    "account" "ledger_account" NOT NULL,
    "amount" DECIMAL(24,8) NOT NULL,
    "currency" TEXT NOT NULL,
    "kind" "ledger_kind" NOT NULL,

    CONSTRAINT "ledger_entries_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "budgets" (
    "workspace_id" UUID NOT NULL,
    "scope" "budget_scope" NOT NULL,
    "subject" TEXT NOT NULL,
    "amount" DECIMAL(24,8),
    "currency" TEXT,

    CONSTRAINT "budgets_pkey" PRIMARY KEY ("workspace_id","scope","subject")
);

-- CreateTable
CREATE TABLE "budget_counters" (
    "workspace_id" UUID NOT NULL,
    "scope" "budget_scope" NOT NULL,
    "subject" TEXT NOT NULL,
    "month" DATE NOT NULL,
    "currency" TEXT NOT NULL,
    "reserved" DECIMAL(24,8) NOT NULL DEFAULT 0,
    "spent" DECIMAL(24,8) NOT NULL DEFAULT 0,
    "held" DECIMAL(24,8) NOT NULL DEFAULT 0,

    CONSTRAINT "budget_counters_pkey" PRIMARY KEY ("workspace_id","scope","subject","month","currency")
);

-- CreateIndex
CREATE INDEX "ledger_entries_task_id_idx" ON "ledger_entries"("task_id");

-- Every write of a counter is a new version of the same row: room beside it keeps the index out of that.
ALTER TABLE "budget_counters" SET (fillfactor = 50);

UPDATE "tasks" SET "late_count" = late.count
FROM (SELECT task_id, count(*) FROM "images" WHERE late GROUP BY task_id) late
WHERE "tasks".id = late.task_id;

-- Append-only. A mistake is mended by an entry that corrects it.
CREATE FUNCTION "refuse_ledger_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger_entries is append-only: % refused', TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Write new entries that correct the old ones.';
END $$;
CREATE TRIGGER "ledger_entries_no_change" BEFORE UPDATE OR DELETE OR TRUNCATE ON "ledger_entries"
    FOR EACH STATEMENT EXECUTE FUNCTION "refuse_ledger_change"();

-- Writes a movement: what is taken from one account and given to another, and the same in the counters of the budgets that the task
-- counts in. "budget" gets what makes the entries add up to zero. Counters are locked in the order of their scopes, as by everybody.
CREATE FUNCTION "move_money"(
    "of_task" UUID, "of_workspace" UUID, "of_key" UUID, "of_end_user" TEXT, "in_currency" TEXT, "in_budgets" SMALLINT,
    "in_month" DATE, "what" "ledger_kind", "by_reserved" NUMERIC, "by_spent" NUMERIC, "by_held" NUMERIC
) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO "ledger_entries" ("workspace_id", "task_id", "account", "amount", "currency", "kind")
    SELECT of_workspace, of_task, leg.account::"ledger_account", leg.amount, in_currency, what
    FROM (VALUES ('budget', -(by_reserved + by_spent + by_held)), ('reserved', by_reserved), ('spent', by_spent),
                 ('held', by_held)) leg (account, amount)
    WHERE leg.amount <> 0;
    IF in_budgets <> 0 THEN
        INSERT INTO "budget_counters" AS counter
            ("workspace_id", "scope", "subject", "month", "currency", "reserved", "spent", "held")
        SELECT of_workspace, budget.scope::"budget_scope", budget.subject, in_month, in_currency, by_reserved, by_spent, by_held
        FROM (VALUES ('END_USER', of_end_user, 4), ('KEY', of_key::text, 2),
                     ('WORKSPACE', of_workspace::text, 1)) budget (scope, subject, bit)
        WHERE in_budgets & budget.bit <> 0 ORDER BY 2
        ON CONFLICT ("workspace_id", "scope", "subject", "month", "currency") DO UPDATE SET
            "reserved" = counter."reserved" + excluded."reserved", "spent" = counter."spent" + excluded."spent",
            "held" = counter."held" + excluded."held";
    END IF;
END $$;
