-- For the limits on what is in flight: whoever else has thousands there is not looked through.
CREATE INDEX "tasks_in_flight_idx" ON "tasks"("workspace_id", "end_user_id", "key_id")
    WHERE "status" IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING');

-- As before, but each limit is counted by itself, and no further than to its end. Each statement in here sees what was committed
-- before it, so nobody counts too few.
CREATE OR REPLACE FUNCTION hold_flight(
    the_task uuid, the_workspace uuid, the_key uuid, the_end_user text,
    key_limit integer, end_user_limit integer, workspace_limit integer
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    found integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('darkroom flights ' || the_workspace::text, 0));
    DELETE FROM flight_holds WHERE workspace_id = the_workspace AND until <= clock_timestamp();
    IF key_limit IS NOT NULL THEN
        SELECT count(*) INTO found FROM (
            SELECT FROM tasks
            WHERE workspace_id = the_workspace AND key_id = the_key
              AND status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING')
            UNION ALL
            SELECT FROM flight_holds
            WHERE workspace_id = the_workspace AND key_id = the_key
              AND NOT EXISTS (SELECT FROM tasks WHERE tasks.id = flight_holds.task_id)
            LIMIT key_limit
        ) AS in_flight;
        IF found >= key_limit THEN RETURN 'key'; END IF;
    END IF;
    IF end_user_limit IS NOT NULL THEN
        SELECT count(*) INTO found FROM (
            SELECT FROM tasks
            WHERE workspace_id = the_workspace AND end_user_id = the_end_user
              AND status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING')
            UNION ALL
            SELECT FROM flight_holds
            WHERE workspace_id = the_workspace AND end_user_id = the_end_user
              AND NOT EXISTS (SELECT FROM tasks WHERE tasks.id = flight_holds.task_id)
            LIMIT end_user_limit
        ) AS in_flight;
        IF found >= end_user_limit THEN RETURN 'endUser'; END IF;
    END IF;
    IF workspace_limit IS NOT NULL THEN
        SELECT count(*) INTO found FROM (
            SELECT FROM tasks
            WHERE workspace_id = the_workspace
              AND status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING')
            UNION ALL
            SELECT FROM flight_holds
            WHERE workspace_id = the_workspace
              AND NOT EXISTS (SELECT FROM tasks WHERE tasks.id = flight_holds.task_id)
            LIMIT workspace_limit
        ) AS in_flight;
        IF found >= workspace_limit THEN RETURN 'workspace'; END IF;
    END IF;
    INSERT INTO flight_holds (task_id, workspace_id, key_id, end_user_id, until)
    VALUES (the_task, the_workspace, the_key, the_end_user, clock_timestamp() + interval '30 seconds');
    RETURN NULL;
END $$;
