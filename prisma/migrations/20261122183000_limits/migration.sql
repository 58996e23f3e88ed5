-- CreateTable
CREATE UNLOGGED TABLE "allowances" (
    "name" TEXT NOT NULL,
    "ends_at" TIMESTAMPTZ(3) NOT NULL,
    "given" INTEGER NOT NULL,
    "granted" INTEGER NOT NULL,

    CONSTRAINT "allowances_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE UNLOGGED TABLE "flight_holds" (
    "task_id" UUID NOT NULL,
    "workspace_id" UUID NOT NULL,
    "key_id" UUID NOT NULL,
    "end_user_id" TEXT,
    "until" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "flight_holds_pkey" PRIMARY KEY ("task_id")
);

-- CreateIndex
CREATE INDEX "flight_holds_workspace_id_idx" ON "flight_holds"("workspace_id");

-- Keeps a place among the tasks in flight for a task that is about to be written. Returns null when there is one under every
-- limit that is given, and otherwise which one is used up: 'key', 'endUser' or 'workspace'.
--
-- A task counts from here on: as a hold until it is written, and as a task until it has ended. Holds end by themselves, for those
-- whose writing failed unseen. The lock makes those of one workspace wait for each other until the commit; each statement in
-- here sees what was committed before it, so nobody counts too few.
CREATE FUNCTION hold_flight(
    the_task uuid, the_workspace uuid, the_key uuid, the_end_user text,
    key_limit integer, end_user_limit integer, workspace_limit integer
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    of_workspace integer;
    of_key integer;
    of_end_user integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('darkroom flights ' || the_workspace::text, 0));
    DELETE FROM flight_holds WHERE workspace_id = the_workspace AND until <= clock_timestamp();
    SELECT count(*), count(*) FILTER (WHERE key_id = the_key), count(*) FILTER (WHERE end_user_id = the_end_user)
    INTO of_workspace, of_key, of_end_user
    FROM (
        SELECT key_id, end_user_id FROM tasks
        WHERE workspace_id = the_workspace AND status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING')
        UNION ALL
        SELECT key_id, end_user_id FROM flight_holds
        WHERE workspace_id = the_workspace AND NOT EXISTS (SELECT FROM tasks WHERE tasks.id = flight_holds.task_id)
    ) AS in_flight;
    IF of_key >= key_limit THEN RETURN 'key'; END IF;
    IF of_end_user >= end_user_limit THEN RETURN 'endUser'; END IF;
    IF of_workspace >= workspace_limit THEN RETURN 'workspace'; END IF;
    INSERT INTO flight_holds (task_id, workspace_id, key_id, end_user_id, until)
    VALUES (the_task, the_workspace, the_key, the_end_user, clock_timestamp() + interval '30 seconds');
    RETURN NULL;
END $$;
