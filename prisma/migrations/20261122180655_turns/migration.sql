-- AlterTable
ALTER TABLE "tasks" ADD COLUMN     "not_before" TIMESTAMPTZ(3),
ADD COLUMN     "ticket_id" BIGINT;
-- A ticket sends one task at a time.
CREATE UNIQUE INDEX "tasks_ticket_id_key" ON "tasks"("ticket_id") WHERE "ticket_id" IS NOT NULL;
-- The lines: those of a workspace beside each other, those of its end users in them, the next task of each at its front.
CREATE INDEX "tasks_lines_idx" ON "tasks"("workspace_id", (coalesce("end_user_id", '') COLLATE "C"), "priority" DESC, "id")
    WHERE "status" = 'QUEUED' AND "not_before" IS NULL;
-- Those that stand beside their line until it is time.
CREATE INDEX "tasks_postponed_idx" ON "tasks"("not_before") WHERE "status" = 'QUEUED' AND "not_before" IS NOT NULL;

-- CreateTable
CREATE TABLE "turn_head" (
    "only" BOOLEAN NOT NULL DEFAULT true,
    "workspace_id" UUID,

    CONSTRAINT "turn_head_pkey" PRIMARY KEY ("only"),
    CONSTRAINT "turn_head_is_one_row" CHECK ("only")
);
INSERT INTO "turn_head" DEFAULT VALUES;

-- CreateTable
CREATE TABLE "turns" (
    "workspace_id" UUID NOT NULL,
    "end_user_id" TEXT NOT NULL,

    CONSTRAINT "turns_pkey" PRIMARY KEY ("workspace_id")
);

-- Whose turns it is, for runs of tickets, in their order. Workspaces stand in a ring in the order of their ids, and the end
-- users of each in a ring of their own; the turn is that of the first behind the last one that has something to be sent.
--   HELD     the ticket has made this task SUBMITTING before: it takes no other one
--   NEXT     it is this task's turn
--   AGAIN    tasks have come back into their lines: ask once more, in a statement that sees them
--   TAKEN    the queue has given the ticket to another run
--   NOTHING  there is nothing to be sent, or the ticket is gone
-- Holds the head's lock until the end of the transaction, so that whoever comes next sees what became of these turns. It
-- moves no task and takes no turn: that is for the statement that calls it (CLAIM_TURNS in src/db/tasks/task-statements.ts).
-- Sorting and scanning are off because plans outlive the queue that they were made for: a plan for an empty queue would
-- sort a long one each time. Only tasks_lines_idx gives this order without sorting.
CREATE FUNCTION "next_turns"("tickets" BIGINT[], "attempts" INTEGER[], "own_tasks" UUID[])
RETURNS TABLE ("place" INTEGER, "ticket" BIGINT, "turn" TEXT, "task_id" UUID) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_incremental_sort = off AS $$
DECLARE
    last_workspace UUID;
    last_end_user TEXT;
    last_end_users JSONB := '{}';
    workspace UUID;
    end_user TEXT;
    latest_attempt INTEGER;
    has_come_back BOOLEAN;
    picked UUID[] := '{}';
BEGIN
    SELECT h.workspace_id INTO last_workspace FROM turn_head h FOR UPDATE;

    UPDATE tasks SET not_before = NULL WHERE id IN (
        SELECT t.id FROM tasks t WHERE t.status = 'QUEUED' AND t.not_before <= now() ORDER BY t.not_before LIMIT 100);
    has_come_back := FOUND;

    FOR n IN 1 .. cardinality(tickets) LOOP
        place := n;
        ticket := tickets[n];
        task_id := NULL;

        SELECT j.attempts INTO latest_attempt FROM graphile_worker.jobs j WHERE j.id = tickets[n];
        IF NOT FOUND OR latest_attempt <> attempts[n] THEN
            turn := CASE WHEN latest_attempt IS NULL THEN 'NOTHING' ELSE 'TAKEN' END;
            RETURN NEXT;
            CONTINUE;
        END IF;

        SELECT t.id INTO task_id FROM tasks t WHERE t.ticket_id = tickets[n] AND t.status = 'SUBMITTING';
        IF NOT FOUND THEN
            -- Left behind by a job of the version before, which sent its own task and wrote no ticket down.
            SELECT t.id INTO task_id FROM tasks t
            WHERE t.id = own_tasks[n] AND t.status = 'SUBMITTING' AND t.ticket_id IS NULL;
        END IF;
        IF FOUND OR has_come_back THEN
            turn := CASE WHEN FOUND THEN 'HELD' ELSE 'AGAIN' END;
            RETURN NEXT;
            CONTINUE;
        END IF;

        SELECT t.workspace_id INTO workspace FROM tasks t
        WHERE t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now()
          AND t.workspace_id > last_workspace AND t.id <> ALL (picked)
        ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1;
        IF NOT FOUND THEN
            SELECT t.workspace_id INTO workspace FROM tasks t
            WHERE t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now() AND t.id <> ALL (picked)
            ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1;
        END IF;
        IF NOT FOUND THEN
            turn := 'NOTHING';
            RETURN NEXT;
            CONTINUE;
        END IF;

        last_end_user := last_end_users ->> workspace::text;
        IF last_end_user IS NULL THEN
            SELECT l.end_user_id INTO last_end_user FROM turns l WHERE l.workspace_id = workspace;
        END IF;
        SELECT t.id, coalesce(t.end_user_id, '') INTO task_id, end_user FROM tasks t
        WHERE t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now() AND t.workspace_id = workspace
          AND coalesce(t.end_user_id, '') COLLATE "C" > last_end_user AND t.id <> ALL (picked)
        ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1;
        IF NOT FOUND THEN
            SELECT t.id, coalesce(t.end_user_id, '') INTO task_id, end_user FROM tasks t
            WHERE t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now() AND t.workspace_id = workspace
              AND t.id <> ALL (picked)
            ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1;
        END IF;
        -- Somebody else can have moved it since, so that the workspace has nothing left.
        turn := CASE WHEN FOUND THEN 'NEXT' ELSE 'AGAIN' END;
        IF FOUND THEN
            picked := picked || task_id;
            last_workspace := workspace;
            last_end_users := last_end_users || jsonb_build_object(workspace::text, end_user);
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
