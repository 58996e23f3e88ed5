-- The whole schema, subject by subject, in the order of prisma/schema.prisma. Row-level security policies are not here:
-- src/db/postgres/row-level-security.ts applies them at every start, because roles belong to the server and not to the
-- database.


-- Workspaces and access -----------------------------------------------------------------------------------------------

CREATE TABLE workspaces (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    webhook_secret_version INTEGER NOT NULL DEFAULT 1,
    webhook_previous_secret_expires_at TIMESTAMPTZ(3),
    CONSTRAINT workspaces_pkey PRIMARY KEY (id)
);

-- A key and the keys that replaced it share a lineage, which is the ID of the first of them. Whatever limits a key, such as
-- a budget, belongs to the lineage, so that rotating the key does not end it.
CREATE TABLE api_keys (
    id UUID NOT NULL,
    lineage_id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    last_four TEXT,
    hash BYTEA NOT NULL,
    scopes TEXT[],
    limits JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    expires_at TIMESTAMPTZ(3),
    revoked_at TIMESTAMPTZ(3),
    last_used_at TIMESTAMPTZ(3),
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id)
        ON DELETE RESTRICT ON UPDATE CASCADE
);
CREATE UNIQUE INDEX api_keys_hash_key ON api_keys (hash);
CREATE INDEX api_keys_workspace_id_id_idx ON api_keys (workspace_id, id DESC);

CREATE TABLE audit_log (
    id UUID NOT NULL,
    at TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    workspace_id UUID,
    action TEXT NOT NULL,
    actor TEXT NOT NULL,
    key_id UUID,
    end_user_id TEXT,
    client_address TEXT,
    target_id TEXT,
    data JSONB NOT NULL DEFAULT '{}',
    CONSTRAINT audit_log_pkey PRIMARY KEY (id)
);
CREATE INDEX audit_log_workspace_id_id_idx ON audit_log (workspace_id, id DESC);
-- Deleting old failed authentications reads nothing else.
CREATE INDEX audit_log_failures_idx ON audit_log (at) WHERE action = 'AUTHENTICATION_FAILED';

-- The audit log is append-only, so that an action cannot be hidden afterwards. Failed authentications are not actions, and
-- anyone can cause them, so they may be deleted after 30 days.
CREATE FUNCTION prevent_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_LEVEL = 'ROW' THEN
        IF OLD.action = 'AUTHENTICATION_FAILED' AND OLD.at < now() - interval '30 days' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit_log is append-only: % is not allowed', TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Insert a new entry that corrects the old one.';
END $$;
-- A statement trigger also fires for TRUNCATE and for statements that match no row.
CREATE TRIGGER audit_log_no_change BEFORE UPDATE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION prevent_audit_change();
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION prevent_audit_change();


-- Queue ---------------------------------------------------------------------------------------------------------------

-- The tables of the queue belong to graphile-worker 0.17, which Darkroom installs before its migrations. Only the functions
-- of this section write to them. test/queue/queue-functions.test.ts checks what they rely on.

-- The jobs that are running. Each heartbeat looks for those whose instance is gone, and must not read all queued jobs for it.
CREATE INDEX darkroom_running_jobs_idx ON graphile_worker._private_jobs (locked_at) WHERE locked_at IS NOT NULL;

-- The jobs that may run while submissions are forbidden, while the slots for ingesting images are taken, and while both are, in
-- the order in which the queue fetches them. Without them, each fetch would read all jobs that wait for the upstream or for an
-- image. The conditions are those of the queue's query with these flags.
CREATE INDEX darkroom_unblocked_jobs_idx ON graphile_worker._private_jobs (priority, run_at)
    WHERE is_available AND (flags ?| ARRAY['upstream']) IS NOT TRUE;
CREATE INDEX darkroom_jobs_but_ingests_idx ON graphile_worker._private_jobs (priority, run_at)
    WHERE is_available AND (flags ?| ARRAY['ingest']) IS NOT TRUE;
CREATE INDEX darkroom_other_jobs_idx ON graphile_worker._private_jobs (priority, run_at)
    WHERE is_available AND (flags ?| ARRAY['ingest', 'upstream']) IS NOT TRUE;

-- The ingest jobs that wait. Images that are due are only queued while few of these are due.
CREATE INDEX darkroom_waiting_ingests_idx ON graphile_worker._private_jobs (run_at)
    WHERE is_available AND flags ?| ARRAY['ingest'];

-- The jobs that have failed often, which handle_failed_jobs reads. Usually there are none.
CREATE INDEX darkroom_often_failed_jobs_idx ON graphile_worker._private_jobs (is_available, run_at) WHERE attempts >= 4;

-- Adds a job that is due after delay_ms. graphile_worker.add_job does the same, but every call of it takes a value of a
-- 32-bit sequence, and a sequence that has run out fails every creation of a task. Here, only the first job of a name does.
-- add_job also notifies the queues. PostgreSQL lets transactions that notify commit one after another, so this does not.
-- Queues look for jobs when events are sealed, and four times a second.
CREATE FUNCTION enqueue_job(job_name TEXT, job_payload JSON, delay_ms BIGINT DEFAULT 0, job_flags TEXT[] DEFAULT NULL)
RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    due_at TIMESTAMPTZ := now() + make_interval(secs => delay_ms / 1000.0);
BEGIN
    INSERT INTO graphile_worker._private_jobs (task_id, payload, run_at, flags)
    SELECT t.id, job_payload, due_at, (SELECT jsonb_object_agg(flag, true) FROM unnest(job_flags) AS item (flag))
    FROM graphile_worker._private_tasks t WHERE t.identifier = job_name;
    IF NOT FOUND THEN
        PERFORM graphile_worker.add_job(job_name, job_payload, run_at := due_at, flags := job_flags);
    END IF;
END $$;

-- Ensures that each of these recurring jobs runs again. A recurring job has one row, whose key is its name, so it never runs
-- twice at a time. Returns for how many milliseconds the job that waits longest has been due, or if that is longer, the job that
-- fails longest has failed at every run. Jobs that run less often than every 10 s are left out of the latter.
--
-- A cached plan outlives the queue that it was made for. So here and below, what a subquery finds is an array, which a plan for an
-- empty queue would otherwise join to all jobs, and no condition fits an index of all jobs better than the index meant.
CREATE FUNCTION ensure_recurring_jobs(job_names TEXT[], intervals_ms BIGINT[])
RETURNS DOUBLE PRECISION LANGUAGE sql SET enable_seqscan = off AS $$
    INSERT INTO graphile_worker._private_tasks (identifier)
    SELECT name FROM unnest(job_names) AS wanted (name)
    WHERE NOT EXISTS (SELECT FROM graphile_worker._private_tasks t WHERE t.identifier = name)
    ON CONFLICT DO NOTHING;

    -- After failures, the queue waits for hours and then gives a job up.
    UPDATE graphile_worker._private_jobs SET run_at = now(), attempts = 0
    WHERE key = ANY (job_names) AND locked_at IS NULL AND (NOT is_available
        OR run_at > now() + make_interval(secs => intervals_ms[array_position(job_names, key)] / 1000.0));

    INSERT INTO graphile_worker._private_jobs (task_id, key)
    SELECT t.id, t.identifier FROM graphile_worker._private_tasks t
    WHERE t.identifier = ANY (job_names) AND t.identifier <> ALL (ARRAY(
        SELECT j.key FROM graphile_worker._private_jobs j WHERE j.key = ANY (job_names)))
    ON CONFLICT (key) DO NOTHING;

    WITH recurring AS MATERIALIZED (
        SELECT run_at, locked_at, payload, intervals_ms[array_position(job_names, key)] AS interval_ms
        FROM graphile_worker._private_jobs WHERE key = ANY (job_names)
    )
    SELECT greatest(
        coalesce(max(extract(epoch FROM now() - run_at)) FILTER (WHERE locked_at IS NULL AND run_at < now()) * 1000, 0),
        max(extract(epoch FROM now() - (payload ->> 'failingSince')::timestamptz)) FILTER (WHERE interval_ms <= 10000) * 1000)
    FROM recurring;
$$;

-- Decides about jobs that have failed often, also because their processes ended. The queue lets the delay grow to six hours, and
-- gives a job up after 25 attempts. Queued tasks would wait without a submit job until their deadlines, so submit jobs are due
-- within a minute and never given up. `attempts` only grows, because it tells the runs of a job apart. Jobs that ingest images are
-- due within a minute as well, because the image was claimed for minutes. They and other jobs are repeated by recurring ones, which
-- go by the rows of images and webhooks, so they are only deleted, a week after they were given up.
CREATE FUNCTION handle_failed_jobs() RETURNS VOID LANGUAGE sql SET enable_seqscan = off AS $$
    UPDATE graphile_worker._private_jobs SET max_attempts = least(attempts + 25, 32767) WHERE id = ANY (ARRAY(
        SELECT j.id FROM graphile_worker._private_jobs j
        WHERE NOT j.is_available AND j.attempts >= 4 AND j.attempts >= j.max_attempts AND j.locked_at IS NULL
          AND j.task_id = (SELECT t.id FROM graphile_worker._private_tasks t WHERE t.identifier = 'submit-task')
        LIMIT 1000 FOR UPDATE SKIP LOCKED));

    UPDATE graphile_worker._private_jobs SET run_at = now() + interval '1 minute' WHERE id = ANY (ARRAY(
        SELECT j.id FROM graphile_worker._private_jobs j
        WHERE coalesce(j.is_available, false) AND j.attempts >= 4 AND j.run_at > now() + interval '1 minute'
          AND j.task_id = ANY (ARRAY(
              SELECT t.id FROM graphile_worker._private_tasks t WHERE t.identifier IN ('submit-task', 'ingest-images')))
        LIMIT 1000 FOR UPDATE SKIP LOCKED));

    DELETE FROM graphile_worker._private_jobs WHERE id = ANY (ARRAY(
        SELECT j.id FROM graphile_worker._private_jobs j
        WHERE NOT j.is_available AND j.attempts >= 4 AND j.attempts >= j.max_attempts AND j.locked_at IS NULL
          AND coalesce(j.key, '') = '' AND j.run_at < now() - interval '7 days'
        LIMIT 1000 FOR UPDATE SKIP LOCKED));
$$;

-- Analyzes the table that has changed most of those whose rows have doubled since they were analyzed, without those given. Returns
-- its name, or NULL. A table that another session has locked is returned without being analyzed.
CREATE FUNCTION analyze_grown_table(without_tables TEXT[]) RETURNS TEXT LANGUAGE plpgsql AS $$
DECLARE
    grown TEXT;
BEGIN
    SELECT s.relid::regclass INTO grown FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
    WHERE c.relnamespace IN ('public'::regnamespace, 'graphile_worker'::regnamespace)
      AND s.n_mod_since_analyze > 1000 AND s.n_live_tup > 2 * greatest(c.reltuples, 0)
      AND s.relid::regclass::text <> ALL (without_tables)
    ORDER BY s.n_mod_since_analyze DESC LIMIT 1;
    IF grown IS NOT NULL THEN
        EXECUTE 'ANALYZE (SKIP_LOCKED) ' || grown;
    END IF;
    RETURN grown;
END $$;

-- Ends a run of a recurring job: hands the key to the next run, which is due after interval_ms. After a run that has failed, the
-- payload of the next one says since when every run has.
CREATE FUNCTION queue_next_run(finished_job_id BIGINT, job_name TEXT, interval_ms BIGINT, has_failed BOOLEAN DEFAULT false)
RETURNS VOID LANGUAGE sql AS $$
    UPDATE graphile_worker._private_jobs SET key = NULL WHERE id = finished_job_id AND key = job_name;

    INSERT INTO graphile_worker._private_jobs (task_id, key, run_at, payload)
    SELECT t.id, t.identifier, now() + make_interval(secs => interval_ms / 1000.0),
           CASE WHEN has_failed THEN json_build_object('failingSince', coalesce(
               (SELECT j.payload ->> 'failingSince' FROM graphile_worker._private_jobs j WHERE j.id = finished_job_id),
               now()::text)) ELSE '{}' END
    FROM graphile_worker._private_tasks t WHERE t.identifier = job_name
    ON CONFLICT (key) DO NOTHING;
$$;


-- Tasks and scheduling ------------------------------------------------------------------------------------------------

CREATE TYPE task_kind AS ENUM ('GENERATE', 'EDIT');
CREATE TYPE task_status AS ENUM
    ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELED', 'EXPIRED');

CREATE TABLE tasks (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    kind task_kind NOT NULL,
    status task_status NOT NULL DEFAULT 'QUEUED',
    prompt TEXT NOT NULL,
    model TEXT NOT NULL,
    size TEXT,
    -- The size that the caller sent, where the model takes another one and the nearest was chosen.
    requested_size TEXT,
    -- The size that the upstream is asked for, where the caller named none and the model's default does not fit.
    upstream_size TEXT,
    requested_count SMALLINT NOT NULL,
    delivered_count SMALLINT NOT NULL DEFAULT 0,
    late_image_count SMALLINT NOT NULL DEFAULT 0,
    pending_images SMALLINT NOT NULL DEFAULT 0,
    pending_late_images SMALLINT NOT NULL DEFAULT 0,
    source_image_id UUID,
    source_image_url TEXT,
    failure JSONB,
    upstream_task_id TEXT,
    upstream_trace_id TEXT,
    attempts SMALLINT NOT NULL DEFAULT 0,
    uncounted_attempts SMALLINT NOT NULL DEFAULT 0,
    submission_id UUID,
    submit_job_id BIGINT,
    not_before TIMESTAMPTZ(3),
    idempotency_key TEXT,
    input_hash BYTEA NOT NULL,
    metadata JSON,
    retry_of_id UUID,
    webhook_url TEXT,
    key_id UUID,
    key_lineage_id UUID,
    end_user_id TEXT,
    priority SMALLINT NOT NULL DEFAULT 1,
    trace_id TEXT,
    unit_price DECIMAL(24,8),
    currency TEXT,
    spent DECIMAL(24,8),
    uncertain DECIMAL(24,8),
    budget_mask SMALLINT,
    created_at TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    submitted_at TIMESTAMPTZ(3),
    finished_at TIMESTAMPTZ(3),
    deadline_at TIMESTAMPTZ(3) NOT NULL,
    checked_at TIMESTAMPTZ(3),
    check_batch_size SMALLINT,
    CONSTRAINT tasks_pkey PRIMARY KEY (id),
    -- A negative count means that one image was counted off twice: the statement that does so must fail.
    CONSTRAINT tasks_pending_images_not_negative CHECK (pending_images >= 0)
);
-- An idempotency key belongs to its end user, or to the workspace's own tasks: end users of one workspace cannot collide.
CREATE UNIQUE INDEX tasks_workspace_id_end_user_id_idempotency_key_key
    ON tasks (workspace_id, (coalesce(end_user_id, '')), idempotency_key);
CREATE INDEX tasks_workspace_id_id_idx ON tasks (workspace_id, id DESC);
CREATE INDEX tasks_workspace_id_status_id_idx ON tasks (workspace_id, status, id DESC);
CREATE INDEX tasks_workspace_id_model_id_idx ON tasks (workspace_id, model, id DESC);
-- The task list of one end user. Partial, because most tasks of a workspace without end users do not belong in it.
CREATE INDEX tasks_workspace_id_end_user_id_id_idx ON tasks (workspace_id, end_user_id, id DESC)
    WHERE end_user_id IS NOT NULL;
-- The deadline sweep reads only active tasks, however long the history is.
CREATE INDEX tasks_active_deadline_idx ON tasks (deadline_at)
    WHERE status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING');
-- The reconciler takes the running tasks that it has not checked for the longest time, and the unconfirmed ones.
CREATE INDEX tasks_running_idx ON tasks ((coalesce(checked_at, submitted_at, created_at)))
    WHERE status IN ('RUNNING', 'UNCONFIRMED');
-- The reconciler also checks tasks that ended with fewer images than were requested, because the upstream may bill the others.
CREATE INDEX tasks_ended_incomplete_idx ON tasks ((greatest(finished_at, submitted_at)))
    WHERE status IN ('SUCCEEDED', 'CANCELED', 'EXPIRED') AND upstream_task_id IS NOT NULL
      AND delivered_count + late_image_count < requested_count;
-- Counts the tasks in flight of one end user or key without reading those of the rest of the workspace.
CREATE INDEX tasks_in_flight_idx ON tasks (workspace_id, end_user_id, key_lineage_id)
    WHERE status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING');
-- A submit-task job submits at most one task at a time.
CREATE UNIQUE INDEX tasks_submit_job_id_key ON tasks (submit_job_id) WHERE submit_job_id IS NOT NULL;
-- The order of fair scheduling. All tasks of a workspace are adjacent, then those of each end user, and the next task of
-- each end user comes first. The deadline is last, so that overdue tasks are passed over without reading their rows.
CREATE INDEX tasks_scheduling_idx ON tasks (workspace_id, (coalesce(end_user_id, '') COLLATE "C"), priority DESC, id, deadline_at)
    WHERE status = 'QUEUED' AND not_before IS NULL;
-- Tasks that wait for their retry time. They are not in tasks_scheduling_idx until then.
CREATE INDEX tasks_waiting_for_retry_idx ON tasks (not_before) WHERE status = 'QUEUED' AND not_before IS NOT NULL;

-- The terms of each prompt, for the text search. src/db/tasks/prompt-search.ts makes them, so that they do not depend on the
-- locale of the server, and puts a prefix in front that no other workspace has. A table of its own, because each change of a
-- task would otherwise copy the terms and add them to the index again.
CREATE TABLE searchable_prompts (
    workspace_id UUID NOT NULL,
    task_id UUID NOT NULL,
    terms TSVECTOR NOT NULL,
    CONSTRAINT searchable_prompts_pkey PRIMARY KEY (workspace_id, task_id)
);
-- With terms that workspaces share, the time of a search would depend on how often other workspaces use a word. btree_gin would
-- not help: it lists the rows of a word over all workspaces as well, and intersects them with the rows of the workspace.
CREATE INDEX searchable_prompts_terms_idx ON searchable_prompts USING gin (terms);
-- The service never changes a prompt or deletes a task. When an operator does, to remove what it says, no search finds it either.
CREATE FUNCTION remove_searchable_prompt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The session of an operator may have another search path.
    EXECUTE format('DELETE FROM %I.searchable_prompts WHERE workspace_id = $1 AND task_id = $2', TG_TABLE_SCHEMA)
        USING OLD.workspace_id, OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER tasks_remove_searchable_prompt AFTER UPDATE OF prompt OR DELETE ON tasks
    FOR EACH ROW EXECUTE FUNCTION remove_searchable_prompt();

-- A single row: the workspace that was served last. Locking it makes claims of tasks follow one another.
CREATE TABLE scheduler_head (
    singleton BOOLEAN NOT NULL DEFAULT true,
    workspace_id UUID,
    -- The earliest time of the next submission while submission_pace limits the rate. A refusal sets it to the end of the pause.
    next_submission_at TIMESTAMPTZ(3),
    CONSTRAINT scheduler_head_pkey PRIMARY KEY (singleton),
    -- With the primary key, this allows exactly one row.
    CONSTRAINT scheduler_head_singleton_check CHECK (singleton)
);
INSERT INTO scheduler_head DEFAULT VALUES;

-- The end user that was served last, for each workspace.
CREATE TABLE scheduler_positions (
    workspace_id UUID NOT NULL,
    last_end_user_id TEXT NOT NULL,
    CONSTRAINT scheduler_positions_pkey PRIMARY KEY (workspace_id)
);

-- A single row: how fast all instances together may submit. It is written only when the upstream refuses a submission because
-- of its load (RATE) or of our account (ACCOUNT), and by the first submissions that it accepts after that. Claims read it.
CREATE TABLE submission_pace (
    singleton BOOLEAN NOT NULL DEFAULT true,
    -- What the last refusal was about. NULL: there is no limit.
    kind TEXT,
    -- Submissions per second when the row was written.
    rate DOUBLE PRECISION,
    -- With RATE: accepted submissions raise the rate up to this one. NULL: until there is no limit.
    safe_rate DOUBLE PRECISION,
    -- The failure that a task would have because of the last refusal.
    failure JSONB,
    -- Nothing is submitted before this time.
    paused_until TIMESTAMPTZ(3),
    refused_at TIMESTAMPTZ(3),
    changed_at TIMESTAMPTZ(3),
    CONSTRAINT submission_pace_pkey PRIMARY KEY (singleton),
    -- With the primary key, this allows exactly one row.
    CONSTRAINT submission_pace_singleton_check CHECK (singleton),
    CONSTRAINT submission_pace_kind_check CHECK (kind IN ('RATE', 'ACCOUNT'))
);
INSERT INTO submission_pace DEFAULT VALUES;

-- The number of submissions per second that are allowed now, or NULL when there is no limit. After a refusal because of load,
-- it doubles every 5 s, and from 64 on it is no limit. An account that was refused is only probed, at the same rate.
CREATE FUNCTION submissions_per_second(pace submission_pace) RETURNS DOUBLE PRECISION LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN pace.kind = 'ACCOUNT' THEN pace.rate
        WHEN pace.kind = 'RATE' THEN nullif(least(64, pace.rate * power(2,
            least(60, greatest(0, extract(epoch FROM now() - pace.changed_at) / 5)::double precision))), 64)
    END
$$;

-- Whether the pace changes if the upstream accepts the next submission: while the account is refused, after each refusal because
-- of load, and below the safe rate.
CREATE FUNCTION is_pace_uncertain(pace submission_pace) RETURNS BOOLEAN LANGUAGE sql STABLE AS $$
    SELECT submissions_per_second(pace) IS NOT NULL AND (
        pace.kind = 'ACCOUNT' OR pace.changed_at = pace.refused_at
        OR submissions_per_second(pace) < coalesce(pace.safe_rate, 'Infinity'))
$$;

-- Picks the next tasks by fair scheduling, one for each run of a submit-task job, in the order of the arrays. Workspaces
-- are served round-robin in the order of their IDs, and so are the end users of each workspace. The next task is that of
-- the first workspace and end user, after the one served last, that has a task to submit. The tasks of one end user are
-- picked by priority, then oldest first.
--
-- The outcome of each run:
--   PICKED              this task is next
--   ALREADY_SUBMITTING  the job has claimed this task before and must not claim another one
--   RETRY               tasks became due: call again in a new statement, which sees them
--   PAUSED              a task is due, but all instances together submit as much as they may
--   SUPERSEDED          the queue has given the job to another run
--   NONE                no task is due, or the job does not exist any more
-- With each come the rate by which the tasks were picked, and whether it changes if the upstream accepts them.
--
-- The function locks scheduler_head until the end of the transaction, so the next caller sees what became of these tasks.
-- It changes no status and does not advance the positions. The calling statement does both (CLAIM_NEXT_TASKS in
-- src/db/tasks/task-claims.ts).
--
-- Sorting and scanning are off because a cached plan outlives the queue that it was made for: a plan for an empty queue
-- would sort a long one at every call. Only tasks_scheduling_idx returns this order without sorting.
CREATE FUNCTION pick_next_tasks(submit_job_ids BIGINT[], job_attempts INTEGER[], max_submitting INTEGER)
RETURNS TABLE (
    ordinal INTEGER, submit_job_id BIGINT, outcome TEXT, task_id UUID, pace_rate DOUBLE PRECISION, is_probe BOOLEAN
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_incremental_sort = off AS $$
DECLARE
    last_workspace UUID;
    last_end_user TEXT;
    last_end_users JSONB := '{}';
    workspace UUID;
    first_task UUID;
    first_end_user TEXT;
    end_user TEXT;
    latest_attempt INTEGER;
    tasks_requeued BOOLEAN;
    picked UUID[] := '{}';
    earliest TIMESTAMPTZ;
    pause_end TIMESTAMPTZ;
    room INTEGER;
    outcome_of_others TEXT;
BEGIN
    SELECT h.workspace_id, greatest(h.next_submission_at, now() - interval '1 second') INTO last_workspace, earliest
    FROM scheduler_head h FOR UPDATE;

    -- Exactly the tasks that are being submitted have a submit_job_id.
    SELECT max_submitting - count(*) INTO room FROM tasks t WHERE t.submit_job_id IS NOT NULL;
    IF room <= 0 THEN
        -- A submission whose run has ended is over, although its task is not settled until the job runs again.
        SELECT max_submitting - count(*) INTO room
        FROM tasks t JOIN graphile_worker._private_jobs j ON j.id = t.submit_job_id
        WHERE t.submit_job_id IS NOT NULL AND j.locked_at IS NOT NULL;
    END IF;
    SELECT p.paused_until, submissions_per_second(p), is_pace_uncertain(p) INTO pause_end, pace_rate, is_probe
    FROM submission_pace p;
    IF pause_end > now() OR (pace_rate IS NOT NULL AND earliest > now()) THEN
        room := 0;
    ELSIF pace_rate IS NOT NULL THEN
        -- What was not used in the last second is made up for, because instances ask only now and then.
        room := least(room, 1 + floor(extract(epoch FROM now() - earliest)::double precision * pace_rate));
    END IF;

    -- Tasks whose retry time has come join the schedule. They are locked in the order in which others lock several tasks.
    UPDATE tasks SET not_before = NULL WHERE id = ANY (ARRAY(
        SELECT t.id FROM tasks t
        WHERE t.status = 'QUEUED' AND t.not_before <= now() AND t.id = ANY (ARRAY(
            SELECT due.id FROM tasks due WHERE due.status = 'QUEUED' AND due.not_before <= now()
            ORDER BY due.not_before LIMIT 100))
        ORDER BY t.id FOR NO KEY UPDATE));
    tasks_requeued := FOUND;

    FOR n IN 1 .. cardinality(submit_job_ids) LOOP
        ordinal := n;
        submit_job_id := submit_job_ids[n];
        task_id := NULL;

        SELECT j.attempts INTO latest_attempt FROM graphile_worker.jobs j WHERE j.id = submit_job_ids[n];
        IF NOT FOUND OR latest_attempt <> job_attempts[n] THEN
            outcome := CASE WHEN latest_attempt IS NULL THEN 'NONE' ELSE 'SUPERSEDED' END;
            RETURN NEXT;
            CONTINUE;
        END IF;

        SELECT t.id INTO task_id FROM tasks t WHERE t.submit_job_id = submit_job_ids[n] AND t.status = 'SUBMITTING';
        IF FOUND OR tasks_requeued THEN
            outcome := CASE WHEN FOUND THEN 'ALREADY_SUBMITTING' ELSE 'RETRY' END;
            RETURN NEXT;
            CONTINUE;
        END IF;

        -- A task that became due since then has a job of its own.
        IF outcome_of_others IS NOT NULL THEN
            outcome := outcome_of_others;
            RETURN NEXT;
            CONTINUE;
        END IF;

        SELECT t.workspace_id, t.id, coalesce(t.end_user_id, '') INTO workspace, first_task, first_end_user FROM tasks t
        WHERE t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now()
          AND t.workspace_id > last_workspace AND t.id <> ALL (picked)
        ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1;
        IF NOT FOUND THEN
            -- No workspace follows: start again with the first one.
            SELECT t.workspace_id, t.id, coalesce(t.end_user_id, '') INTO workspace, first_task, first_end_user FROM tasks t
            WHERE t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now() AND t.id <> ALL (picked)
            ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1;
        END IF;
        IF NOT FOUND THEN
            outcome := 'NONE';
            outcome_of_others := outcome;
            RETURN NEXT;
            CONTINUE;
        END IF;

        IF cardinality(picked) >= room THEN
            outcome := 'PAUSED';
            outcome_of_others := outcome;
            RETURN NEXT;
            CONTINUE;
        END IF;

        last_end_user := last_end_users ->> workspace::text;
        IF last_end_user IS NULL THEN
            SELECT p.last_end_user_id INTO last_end_user FROM scheduler_positions p WHERE p.workspace_id = workspace;
        END IF;
        SELECT t.id, coalesce(t.end_user_id, '') INTO task_id, end_user FROM tasks t
        WHERE t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now() AND t.workspace_id = workspace
          AND coalesce(t.end_user_id, '') COLLATE "C" > last_end_user AND t.id <> ALL (picked)
        ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1;
        IF NOT FOUND THEN
            -- No end user follows: start again with the first one.
            task_id := first_task;
            end_user := first_end_user;
        END IF;
        outcome := 'PICKED';
        picked := picked || task_id;
        last_workspace := workspace;
        last_end_users := last_end_users || jsonb_build_object(workspace::text, end_user);
        RETURN NEXT;
    END LOOP;
END $$;

-- The queue positions of tasks of one workspace, if no new tasks arrive. max_position stands for itself and all later positions.
--
-- Round-robin scheduling is a sort order. The n-th task of every end user comes before any (n + 1)th, and tasks with the same n
-- come in the order of the end users. The number of tasks ahead of a task for its end user gives its ordinal k in its workspace.
-- The ordinal gives its position in the whole queue: before the k-th task of this workspace, each other workspace is served k or
-- k - 1 times, or as often as it has tasks. A task that waits for its retry time gets the position that it would have if it were
-- due, and does not count for other tasks.
--
-- Only about the first max_position tasks are read, however long the queue is: the first end users and workspaces in the order
-- of their rings, and the first `depth` tasks of each. The depth is the smallest power of 4 with which they have max_position
-- tasks together, so that every task beyond it has at least that position. With the settings below and the whole order of
-- tasks_scheduling_idx, each subquery is a range of that index, whatever the statistics are.
CREATE FUNCTION queue_positions(workspace UUID, task_ids UUID[], max_position INTEGER)
RETURNS TABLE (id UUID, queue_position INTEGER) LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_incremental_sort = off SET jit = off AS $$
    WITH RECURSIVE requested AS MATERIALIZED (
        SELECT t.id, coalesce(t.end_user_id, '') COLLATE "C" AS end_user, t.priority, t.not_before IS NULL AS is_due
        FROM (SELECT DISTINCT unnest(task_ids)) wanted (id), LATERAL (
            SELECT * FROM tasks WHERE tasks.id = wanted.id OFFSET 0 -- or an index of all queued tasks would be read
        ) t
        WHERE t.workspace_id = workspace AND t.status = 'QUEUED' AND t.deadline_at > now()
    ), depths AS MATERIALIZED (
        SELECT least(4 ^ n, max_position)::int AS depth FROM generate_series(0, ceil(log(4, max_position))::int) n
    ), last AS MATERIALIZED (
        SELECT (SELECT p.last_end_user_id FROM scheduler_positions p WHERE p.workspace_id = workspace) COLLATE "C" AS end_user,
               coalesce(h.workspace_id, '00000000-0000-0000-0000-000000000000') AS workspace_id
        FROM scheduler_head h
    ), end_users (end_user, is_second_lap, n) AS (
        -- Appending the smallest character gives the first text that follows. An empty text is the first of all.
        (SELECT first.* FROM last, LATERAL (
            (SELECT coalesce(t.end_user_id, '') COLLATE "C" AS end_user, false AS is_second_lap, 1 FROM tasks t
             WHERE t.workspace_id = workspace AND t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now()
               AND coalesce(t.end_user_id, '') COLLATE "C" >= coalesce(last.end_user || E'\x01', '')
             ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1)
            UNION ALL
            (SELECT coalesce(t.end_user_id, '') COLLATE "C", true, 1 FROM tasks t
             WHERE t.workspace_id = workspace AND t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now()
               AND coalesce(t.end_user_id, '') COLLATE "C" <= last.end_user
             ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1)
        ) first ORDER BY first.is_second_lap LIMIT 1)
        UNION ALL
        SELECT next.* FROM last, end_users e, LATERAL (
            (SELECT coalesce(t.end_user_id, '') COLLATE "C" AS end_user, e.is_second_lap, e.n + 1 FROM tasks t
             WHERE t.workspace_id = workspace AND t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now()
               AND coalesce(t.end_user_id, '') COLLATE "C" > e.end_user
               AND (NOT e.is_second_lap OR coalesce(t.end_user_id, '') COLLATE "C" <= last.end_user)
             ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1)
            UNION ALL
            (SELECT coalesce(t.end_user_id, '') COLLATE "C", true, e.n + 1 FROM tasks t
             WHERE NOT e.is_second_lap
               AND t.workspace_id = workspace AND t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now()
               AND coalesce(t.end_user_id, '') COLLATE "C" <= last.end_user
             ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1)
            ORDER BY is_second_lap LIMIT 1
        ) next WHERE e.n < max_position
    ), end_user_depth AS MATERIALIZED (
        SELECT coalesce((SELECT d.depth FROM depths d WHERE max_position <= (SELECT count(*) FROM (
            SELECT FROM end_users e, LATERAL (
                SELECT FROM tasks t
                WHERE t.workspace_id = workspace AND t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now()
                  AND coalesce(t.end_user_id, '') COLLATE "C" = e.end_user
                ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT d.depth) task
            LIMIT max_position) counted) LIMIT 1), max_position) AS depth
    ), mine AS (
        SELECT task.* FROM end_user_depth d, end_users e, LATERAL (
            SELECT t.id, e.end_user, t.priority, true AS is_due FROM tasks t
            WHERE t.workspace_id = workspace AND t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now()
              AND coalesce(t.end_user_id, '') COLLATE "C" = e.end_user
            ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT d.depth) task
        UNION ALL SELECT r.* FROM requested r WHERE NOT r.is_due
    ), per_end_user AS (
        SELECT m.id, m.end_user, m.is_due, count(*) FILTER (WHERE m.is_due) OVER (
            PARTITION BY m.end_user ORDER BY m.priority DESC, m.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ahead
        FROM mine m
    ), per_workspace AS (
        SELECT u.id, 1 + count(*) FILTER (WHERE u.is_due) OVER (
            ORDER BY u.ahead, coalesce(u.end_user <= last.end_user, false), u.end_user, u.is_due
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ordinal
        FROM per_end_user u, last
    ), ordinals AS MATERIALIZED (
        SELECT r.id, w.ordinal FROM requested r JOIN per_workspace w ON w.id = r.id WHERE w.ordinal < max_position
    ), workspaces_in_order (workspace_id, is_second_lap, n) AS (
        (SELECT first.* FROM last, LATERAL (
            (SELECT t.workspace_id, false AS is_second_lap, 1 FROM tasks t
             WHERE t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now() AND t.workspace_id > last.workspace_id
             ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1)
            UNION ALL
            (SELECT t.workspace_id, true, 1 FROM tasks t
             WHERE t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now() AND t.workspace_id <= last.workspace_id
             ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1)
        ) first WHERE EXISTS (SELECT FROM ordinals) ORDER BY first.is_second_lap LIMIT 1)
        UNION ALL
        SELECT next.* FROM last, workspaces_in_order w, LATERAL (
            (SELECT t.workspace_id, w.is_second_lap, w.n + 1 FROM tasks t
             WHERE t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now() AND t.workspace_id > w.workspace_id
               AND (NOT w.is_second_lap OR t.workspace_id <= last.workspace_id)
             ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1)
            UNION ALL
            (SELECT t.workspace_id, true, w.n + 1 FROM tasks t
             WHERE NOT w.is_second_lap
               AND t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now() AND t.workspace_id <= last.workspace_id
             ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT 1)
            ORDER BY is_second_lap LIMIT 1
        ) next WHERE w.n <= max_position
    ), others AS MATERIALIZED (
        SELECT w.workspace_id, ((coalesce(w.workspace_id <= last.workspace_id, false), w.workspace_id)
                              < (coalesce(workspace <= last.workspace_id, false), workspace))::int AS first
        FROM workspaces_in_order w, last WHERE w.workspace_id <> workspace
    ), workspace_depth AS MATERIALIZED (
        SELECT coalesce((SELECT d.depth FROM depths d WHERE max_position <= (SELECT count(*) FROM (
            SELECT FROM others o, LATERAL (
                SELECT FROM tasks t
                WHERE t.workspace_id = o.workspace_id AND t.status = 'QUEUED' AND t.not_before IS NULL
                  AND t.deadline_at > now()
                ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT d.depth) task
            LIMIT max_position) counted) LIMIT 1), max_position) AS depth
    ), waiting AS MATERIALIZED ( -- or it would be computed again for each task
        SELECT o.first, (SELECT count(*) FROM (
            SELECT FROM tasks t
            WHERE t.workspace_id = o.workspace_id AND t.status = 'QUEUED' AND t.not_before IS NULL AND t.deadline_at > now()
            ORDER BY t.workspace_id, coalesce(t.end_user_id, '') COLLATE "C", t.priority DESC, t.id LIMIT d.depth) task) AS count
        FROM others o, workspace_depth d
    )
    SELECT r.id, coalesce((
        SELECT least(max_position, o.ordinal + (
            SELECT coalesce(sum(least(w.count, o.ordinal - 1 + w.first)), 0) FROM waiting w)) FROM ordinals o WHERE o.id = r.id
    ), max_position)::int FROM requested r
$$;


-- Images --------------------------------------------------------------------------------------------------------------

CREATE TABLE images (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    task_id UUID,
    index SMALLINT NOT NULL,
    late BOOLEAN NOT NULL DEFAULT false,
    upstream_url TEXT,
    seed TEXT,
    inference_seconds DOUBLE PRECISION,
    upstream_metadata JSONB,
    parent_id UUID,
    file_name TEXT,
    end_user_id TEXT,
    created_at TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    width INTEGER,
    height INTEGER,
    mime_type TEXT,
    byte_size INTEGER,
    sha256 BYTEA,
    thumbhash BYTEA,
    -- Why the stored bytes cannot be decoded. Width, height and thumbhash are null then.
    decode_error TEXT,
    stored_at TIMESTAMPTZ(3),
    lost_at TIMESTAMPTZ(3),
    lost_reason TEXT,
    deleted_at TIMESTAMPTZ(3),
    source_failures SMALLINT NOT NULL DEFAULT 0,
    store_failures INTEGER NOT NULL DEFAULT 0,
    ingest_at TIMESTAMPTZ(3) NOT NULL DEFAULT (CURRENT_TIMESTAMP + '00:15:00'::interval),
    CONSTRAINT images_pkey PRIMARY KEY (id),
    CONSTRAINT images_task_id_fkey FOREIGN KEY (task_id) REFERENCES tasks (id) ON DELETE RESTRICT ON UPDATE CASCADE,
    -- Ingesting an image has one outcome. A second one would count it off its task twice.
    CONSTRAINT images_stored_or_lost CHECK (stored_at IS NULL OR lost_at IS NULL)
);
CREATE UNIQUE INDEX images_task_id_index_key ON images (task_id, index);
CREATE INDEX images_parent_id_id_idx ON images (parent_id, id);
-- Tells whether an image still uses the bytes of a blob.
CREATE INDEX images_sha256_idx ON images (sha256);
-- Retention deletes the oldest stored images first.
CREATE INDEX images_retention_idx ON images (stored_at) WHERE deleted_at IS NULL;
-- Images that are not stored yet, by the time of their next attempt. A job that the queue has lost cannot lose an image.
CREATE INDEX images_ingest_idx ON images (ingest_at)
    WHERE stored_at IS NULL AND lost_at IS NULL AND deleted_at IS NULL AND upstream_url IS NOT NULL;

-- Selects the images of a late result that their task does not have yet, in the order of the result. The second column numbers
-- them from 1. An image is known by its URL without the query, because the signature in the query changes from one report to the
-- next. A result can have several images whose URLs differ only in the query. Then as many of them are new as the task lacks.
--
-- The caller holds the lock on the task. The statement in the function is a new one, so it sees the images that were added by
-- whoever held the lock before.
CREATE FUNCTION select_unknown_images(p_task_id UUID, reported JSONB)
RETURNS TABLE (image JSONB, ordinal BIGINT) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN QUERY
    WITH known AS (
        SELECT i.upstream_url AS url, split_part(i.upstream_url, '?', 1) AS url_without_query
        FROM images i WHERE i.task_id = p_task_id
    ), compared AS (
        SELECT new.value, new.position, split_part(new.value ->> 'upstreamUrl', '?', 1) AS url_without_query,
               row_number() OVER (
                   PARTITION BY split_part(new.value ->> 'upstreamUrl', '?', 1)
                   ORDER BY new.value ->> 'upstreamUrl' NOT IN (SELECT known.url FROM known), new.position
               ) AS occurrence
        FROM jsonb_array_elements(reported) WITH ORDINALITY AS new (value, position)
    )
    SELECT compared.value, row_number() OVER (ORDER BY compared.position) FROM compared
    WHERE occurrence > (SELECT count(*) FROM known WHERE known.url_without_query = compared.url_without_query);
END $$;

-- The bytes in the image store, one row for each content.
CREATE TABLE blobs (
    sha256 BYTEA NOT NULL,
    check_at TIMESTAMPTZ(3),
    being_removed BOOLEAN NOT NULL DEFAULT false,
    CONSTRAINT blobs_pkey PRIMARY KEY (sha256)
);
CREATE INDEX blobs_check_at_idx ON blobs (check_at);

-- Claims a blob that is due for its check and that no image uses. Its bytes are being removed until check_at, and must not be
-- stored before. Blobs that an image uses are not due any more. Returns no row when there is none to claim.
--
-- Taking the lock never waits: it skips a blob that is being assigned to an image. The statement after it is a new one, so it
-- sees every image that was assigned before. The image store is called after the commit, so no transaction waits for it.
CREATE FUNCTION claim_unused_blob(lease_minutes INTEGER)
RETURNS TABLE (claimed_sha256 BYTEA, claimed_until TIMESTAMPTZ) LANGUAGE plpgsql AS $$
DECLARE
    due BYTEA;
BEGIN
    FOR n IN 1 .. 100 LOOP
        SELECT b.sha256 INTO due FROM blobs b
        WHERE b.check_at <= now() ORDER BY b.check_at LIMIT 1 FOR UPDATE SKIP LOCKED;
        EXIT WHEN NOT FOUND;
        UPDATE blobs b SET check_at = NULL, being_removed = false
        WHERE b.sha256 = due
          -- With i.deleted_at IS NULL, the index of all images that are not deleted would seem to fit as well.
          AND EXISTS (SELECT FROM images i WHERE i.sha256 = due AND coalesce(i.deleted_at, '-infinity') = '-infinity');
        IF NOT FOUND THEN
            RETURN QUERY UPDATE blobs b SET check_at = now() + make_interval(mins => lease_minutes), being_removed = true
            WHERE b.sha256 = due RETURNING b.sha256, b.check_at::timestamptz;
            EXIT;
        END IF;
    END LOOP;
END $$;

CREATE TABLE uploads (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    actor TEXT NOT NULL,
    file_name TEXT,
    end_user_id TEXT,
    created_at TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    expires_at TIMESTAMPTZ(3) NOT NULL,
    used_at TIMESTAMPTZ(3),
    CONSTRAINT uploads_pkey PRIMARY KEY (id)
);
CREATE INDEX uploads_expires_at_idx ON uploads (expires_at);


-- Event log -----------------------------------------------------------------------------------------------------------

CREATE TABLE task_events (
    seq BIGSERIAL NOT NULL,
    id UUID NOT NULL DEFAULT gen_random_uuid(),
    position BIGINT,
    workspace_id UUID NOT NULL,
    task_id UUID NOT NULL,
    type TEXT NOT NULL,
    at TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
    actor TEXT NOT NULL,
    data JSONB NOT NULL DEFAULT '{}',
    settles_task BOOLEAN NOT NULL DEFAULT false,
    -- The transaction that wrote the event. seal_events() finds new events by it.
    transaction_id BIGINT NOT NULL DEFAULT ((pg_current_xact_id())::text)::bigint,
    CONSTRAINT task_events_pkey PRIMARY KEY (seq),
    CONSTRAINT task_events_task_id_fkey FOREIGN KEY (task_id) REFERENCES tasks (id)
        ON DELETE RESTRICT ON UPDATE CASCADE
);
CREATE UNIQUE INDEX task_events_position_key ON task_events (position);
CREATE INDEX task_events_task_id_position_idx ON task_events (task_id, position);
CREATE INDEX task_events_workspace_id_position_idx ON task_events (workspace_id, position);
-- seal_events() finds the unsealed events of the transactions that may have written some since it looked last. A sealed event
-- leaves a dead entry, which stays while a snapshot from before is open. So the transactions come first in this index. Positions
-- begin with 1. With "position IS NULL", the planner could choose an index on positions, and walk over all dead entries in it.
CREATE INDEX task_events_unsealed_idx ON task_events (transaction_id, seq) WHERE coalesce(position, 0) = 0;

-- The event log is append-only. Sealing sets an event's position once, and nothing else about an event ever changes.
CREATE FUNCTION prevent_event_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'task_events is append-only: % is not allowed', TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Insert a new event that corrects the old one.';
END $$;
CREATE TRIGGER task_events_no_delete BEFORE DELETE ON task_events
    FOR EACH STATEMENT EXECUTE FUNCTION prevent_event_change();
CREATE TRIGGER task_events_no_truncate BEFORE TRUNCATE ON task_events
    FOR EACH STATEMENT EXECUTE FUNCTION prevent_event_change();
-- Every column except position, which sealing sets.
CREATE TRIGGER task_events_no_update
    BEFORE UPDATE OF seq, id, workspace_id, task_id, type, at, actor, data, settles_task, transaction_id ON task_events
    FOR EACH STATEMENT EXECUTE FUNCTION prevent_event_change();
-- Clients hold cursors made from positions, so a position must not change once it is set.
CREATE TRIGGER task_events_seal_once BEFORE UPDATE OF position ON task_events
    FOR EACH ROW WHEN (OLD.position IS NOT NULL OR NEW.position IS NULL)
    EXECUTE FUNCTION prevent_event_change();

-- A single row, whose lock makes positions contiguous. It never changes: while a snapshot is open, every version of a row stays,
-- and readers would walk over them. log_id identifies the log: cursors carry a tag made from it, so a cursor of another
-- database is rejected.
CREATE TABLE event_log (
    singleton BOOLEAN NOT NULL DEFAULT true,
    log_id UUID NOT NULL DEFAULT gen_random_uuid(),
    CONSTRAINT event_log_pkey PRIMARY KEY (singleton),
    -- With the primary key, this allows exactly one row.
    CONSTRAINT event_log_singleton_check CHECK (singleton)
);
INSERT INTO event_log DEFAULT VALUES;

-- The last position of the log, which the index on positions ends with. A view reads with the rights of its owner, so callers
-- see the end of the whole log.
CREATE VIEW event_log_head AS SELECT coalesce(max(position), 0) AS position FROM task_events;

-- How far sealing has come. Every event is sealed that was written by a transaction before next_transaction_id, except those
-- of unfinished_transactions, which had not ended. Only the row with the highest position counts. A new row is written instead
-- of a new version of the same row, for the same reason as in event_log.
CREATE TABLE sealing_progress (
    position BIGINT NOT NULL,
    next_transaction_id BIGINT NOT NULL,
    unfinished_transactions BIGINT[],
    -- Tells whether the numbers of transactions are of this server.
    server_started_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT sealing_progress_pkey PRIMARY KEY (position)
);

-- Gives committed, unsealed events the next contiguous positions, in the order in which they were written, and notifies
-- the readers. Returns the number of sealed events, or NULL while another session is sealing: call it again soon.
--
-- Call it as a statement of its own, outside a transaction, so that a suspended client cannot hold the lock on the log.
-- The order of writing is the order of each task's history, because an event is written after its task's row is locked.
--
-- It reads the events of the transactions that had not ended when sealing_progress was written, and of all later ones. The
-- events of every other transaction are sealed: it had ended before a statement that left no event unsealed. So the work does
-- not grow with the events that were sealed before, whatever snapshot is open. After a restart of the server, a failover or a
-- restore, the numbers of transactions may have another meaning, and it reads all unsealed events once.
--
-- The planner's other ways depend on statistics, which are wrong for a table whose rows stay unsealed for milliseconds.
CREATE FUNCTION seal_events(batch_size INTEGER) RETURNS INTEGER LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    head BIGINT;
    progress sealing_progress;
    server_start TIMESTAMPTZ := pg_postmaster_start_time();
    sealed INTEGER;
    next_id BIGINT;
    unfinished BIGINT[];
BEGIN
    PERFORM FROM event_log FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT h.position INTO head FROM event_log_head h;
    SELECT p.* INTO progress FROM sealing_progress p ORDER BY p.position DESC LIMIT 1;
    IF progress.server_started_at IS DISTINCT FROM server_start THEN
        progress.next_transaction_id := 0;
        progress.unfinished_transactions := '{}';
    END IF;

    -- One statement, so that the numbers are of the snapshot in which it looks for events. They are those of the transactions
    -- themselves, never of their savepoints, and so is transaction_id.
    WITH unsealed AS (
        SELECT e.seq FROM task_events e WHERE coalesce(e.position, 0) = 0 AND e.transaction_id >= progress.next_transaction_id
        UNION ALL
        SELECT e.seq FROM task_events e
        WHERE coalesce(e.position, 0) = 0 AND e.transaction_id = ANY (progress.unfinished_transactions)
          AND e.transaction_id < progress.next_transaction_id
    ), next AS (
        SELECT u.seq, row_number() OVER (ORDER BY u.seq) AS ordinal
        FROM (SELECT a.seq FROM unsealed a ORDER BY a.seq LIMIT batch_size) u
    ), changed AS (
        -- With e.seq = next.seq, a plan for few events would read all of them in the order of seq.
        UPDATE task_events e SET position = head + next.ordinal FROM next WHERE e.seq = ANY (ARRAY[next.seq]) RETURNING e.seq
    )
    SELECT (SELECT count(*) FROM changed), pg_snapshot_xmax(s.snapshot)::text::bigint,
           -- The snapshot leaves out this transaction itself.
           ARRAY(SELECT id::text::bigint FROM pg_snapshot_xip(s.snapshot) AS id UNION SELECT pg_current_xact_id()::text::bigint)
    INTO sealed, next_id, unfinished
    FROM pg_current_snapshot() AS s (snapshot);

    -- A full batch may have left events. Writing the progress now and then is enough: until then, a few events are read again.
    IF sealed < batch_size AND (
        head + sealed - progress.position >= 256 OR progress.server_started_at IS DISTINCT FROM server_start
    ) THEN
        INSERT INTO sealing_progress (position, next_transaction_id, unfinished_transactions, server_started_at)
        VALUES (head + sealed, next_id, unfinished, server_start)
        ON CONFLICT (position) DO UPDATE SET next_transaction_id = excluded.next_transaction_id,
            unfinished_transactions = excluded.unfinished_transactions, server_started_at = excluded.server_started_at;
        DELETE FROM sealing_progress p WHERE p.position = progress.position AND p.position < head + sealed;
    END IF;
    IF sealed > 0 THEN
        PERFORM pg_notify('darkroom_events', (head + sealed)::text);
    END IF;
    RETURN sealed;
END $$;


-- Upstream callbacks --------------------------------------------------------------------------------------------------

CREATE TYPE callback_verdict AS ENUM
    ('APPLIED', 'DUPLICATE', 'EARLY', 'LATE', 'UNKNOWN_TASK', 'CONFLICT', 'MALFORMED');

CREATE TABLE callbacks (
    id UUID NOT NULL,
    received_at TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    workspace_id UUID,
    task_id UUID NOT NULL,
    attempt SMALLINT,
    verdict callback_verdict NOT NULL,
    body BYTEA NOT NULL,
    CONSTRAINT callbacks_pkey PRIMARY KEY (id)
);
CREATE INDEX callbacks_workspace_id_id_idx ON callbacks (workspace_id, id DESC);
CREATE INDEX callbacks_task_id_idx ON callbacks (task_id);


-- Webhooks ------------------------------------------------------------------------------------------------------------

CREATE TYPE webhook_delivery_kind AS ENUM ('RESULT', 'LATE_RESULT');
CREATE TYPE webhook_delivery_status AS ENUM ('PENDING', 'DELIVERED', 'ABANDONED');

CREATE TABLE webhook_deliveries (
    id UUID NOT NULL DEFAULT gen_random_uuid(),
    seq BIGSERIAL NOT NULL,
    workspace_id UUID NOT NULL,
    task_id UUID NOT NULL,
    kind webhook_delivery_kind NOT NULL,
    status webhook_delivery_status NOT NULL DEFAULT 'PENDING',
    endpoint TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    attempts_before_redelivery INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_at TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id)
);
CREATE INDEX webhook_deliveries_task_id_seq_idx ON webhook_deliveries (task_id, seq);
-- Finds the due deliveries of one endpoint after the other, so that a slow endpoint does not delay the others of its workspace.
-- By hash, so that a claim can begin at any place of the ring of endpoints, and because an entry of an index must be short.
CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (workspace_id, hashtextextended(endpoint, 0), next_attempt_at)
    WHERE status = 'PENDING';
-- Finds the workspaces with pending deliveries, and the due ones of each. Those that are not due yet are not read.
CREATE INDEX webhook_deliveries_due_by_time_idx ON webhook_deliveries (workspace_id, next_attempt_at) WHERE status = 'PENDING';
-- Deleting old settled deliveries reads nothing else.
CREATE INDEX webhook_deliveries_settled_idx ON webhook_deliveries (next_attempt_at) WHERE status <> 'PENDING';

CREATE TABLE webhook_attempts (
    id UUID NOT NULL,
    delivery_id UUID NOT NULL,
    task_id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    attempt_number INTEGER NOT NULL,
    at TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    status_code INTEGER,
    error_message TEXT,
    latency_ms INTEGER NOT NULL,
    response_body TEXT,
    next_attempt_at TIMESTAMPTZ(3),
    CONSTRAINT webhook_attempts_pkey PRIMARY KEY (id)
);
CREATE INDEX webhook_attempts_task_id_id_idx ON webhook_attempts (task_id, id DESC);


-- Limits --------------------------------------------------------------------------------------------------------------
-- These tables are UNLOGGED: they are written often and their rows live for seconds. After a crash of PostgreSQL they are
-- empty, and counting starts again.

CREATE UNLOGGED TABLE rate_limit_windows (
    key TEXT NOT NULL,
    ends_at TIMESTAMPTZ(3) NOT NULL,
    total_granted INTEGER NOT NULL,
    last_granted INTEGER NOT NULL,
    CONSTRAINT rate_limit_windows_pkey PRIMARY KEY (key)
);
-- Deleting ended windows reads nothing else. The time changes once for each window, so most updates leave the index alone.
CREATE INDEX rate_limit_windows_ends_at_idx ON rate_limit_windows (ends_at);

CREATE UNLOGGED TABLE in_flight_leases (
    task_id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    key_lineage_id UUID NOT NULL,
    end_user_id TEXT,
    expires_at TIMESTAMPTZ(3) NOT NULL,
    CONSTRAINT in_flight_leases_pkey PRIMARY KEY (task_id)
);
CREATE INDEX in_flight_leases_workspace_id_idx ON in_flight_leases (workspace_id);
-- Deletes what a workspace has left behind that makes no more requests.
CREATE INDEX in_flight_leases_expires_at_idx ON in_flight_leases (expires_at);

-- Reserves room under the in-flight limits for a task that is about to be inserted. Returns NULL when every given limit
-- has room, and otherwise the limit that is used up: 'key', 'endUser' or 'workspace'.
--
-- A task counts from here on: as a lease until it is inserted, and as a task until it has ended. Leases expire by
-- themselves, in case the insert fails unnoticed. The lock serializes the callers of one workspace until they commit. Each
-- statement below sees what was committed before it, so no task is missed. Each limit is counted by itself, and only up to
-- the limit, so the cost does not grow with the tasks of the rest of the workspace. The task of each lease is looked up, because
-- a kept plan for few tasks would join them all.
CREATE FUNCTION acquire_in_flight_lease(
    p_task_id UUID, p_workspace_id UUID, p_key_lineage_id UUID, p_end_user_id TEXT,
    key_limit INTEGER, end_user_limit INTEGER, workspace_limit INTEGER
) RETURNS TEXT LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    in_flight_count INTEGER;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('darkroom in-flight ' || p_workspace_id::text, 0));
    DELETE FROM in_flight_leases WHERE workspace_id = p_workspace_id AND expires_at <= clock_timestamp();
    IF key_limit IS NOT NULL THEN
        SELECT count(*) INTO in_flight_count FROM (
            SELECT FROM tasks
            WHERE workspace_id = p_workspace_id AND key_lineage_id = p_key_lineage_id
              AND status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING')
            UNION ALL
            SELECT FROM in_flight_leases
            WHERE workspace_id = p_workspace_id AND key_lineage_id = p_key_lineage_id
              AND (SELECT t.id FROM tasks t WHERE t.id = in_flight_leases.task_id) IS NULL
            LIMIT key_limit
        ) AS in_flight;
        IF in_flight_count >= key_limit THEN RETURN 'key'; END IF;
    END IF;
    IF end_user_limit IS NOT NULL THEN
        SELECT count(*) INTO in_flight_count FROM (
            SELECT FROM tasks
            WHERE workspace_id = p_workspace_id AND end_user_id = p_end_user_id
              AND status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING')
            UNION ALL
            SELECT FROM in_flight_leases
            WHERE workspace_id = p_workspace_id AND end_user_id = p_end_user_id
              AND (SELECT t.id FROM tasks t WHERE t.id = in_flight_leases.task_id) IS NULL
            LIMIT end_user_limit
        ) AS in_flight;
        IF in_flight_count >= end_user_limit THEN RETURN 'endUser'; END IF;
    END IF;
    IF workspace_limit IS NOT NULL THEN
        SELECT count(*) INTO in_flight_count FROM (
            SELECT FROM tasks
            WHERE workspace_id = p_workspace_id
              AND status IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING')
            UNION ALL
            SELECT FROM in_flight_leases
            WHERE workspace_id = p_workspace_id
              AND (SELECT t.id FROM tasks t WHERE t.id = in_flight_leases.task_id) IS NULL
            LIMIT workspace_limit
        ) AS in_flight;
        IF in_flight_count >= workspace_limit THEN RETURN 'workspace'; END IF;
    END IF;
    INSERT INTO in_flight_leases (task_id, workspace_id, key_lineage_id, end_user_id, expires_at)
    VALUES (p_task_id, p_workspace_id, p_key_lineage_id, p_end_user_id, clock_timestamp() + interval '30 seconds');
    RETURN NULL;
END $$;

CREATE UNLOGGED TABLE connection_leases (
    id UUID NOT NULL,
    expires_at TIMESTAMPTZ(3) NOT NULL,
    CONSTRAINT connection_leases_pkey PRIMARY KEY (id)
);

CREATE UNLOGGED TABLE connection_slots (
    lease_id UUID NOT NULL,
    subject TEXT NOT NULL,
    slots INTEGER NOT NULL,
    CONSTRAINT connection_slots_pkey PRIMARY KEY (lease_id, subject),
    CONSTRAINT connection_slots_lease_id_fkey FOREIGN KEY (lease_id) REFERENCES connection_leases (id)
        ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX connection_slots_subject_idx ON connection_slots (subject);

-- Grants connection slots to an instance and takes back those that it no longer needs. For each subject the instance gets
-- the slots that it wants, but not more than the limit leaves beside the slots of other live instances, and not fewer than
-- it has connections open. Returns the slots that it holds afterwards, or no row when its lease has expired: the instance
-- must then create its lease again first.
--
-- The numbers are absolute, so repeating a call changes nothing. The locks serialize the callers that ask for the same
-- subject until they commit, and are taken in one order to avoid deadlocks. The statements after the locks see what was
-- committed before.
CREATE FUNCTION adjust_connection_slots(
    p_lease_id UUID, subjects TEXT[], open_connections INTEGER[], wanted_slots INTEGER[], max_slots INTEGER[]
) RETURNS TABLE (slot_subject TEXT, granted_slots INTEGER) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(requested.lock) FROM (
        SELECT DISTINCT hashtextextended('darkroom connections ' || subject, 0) AS lock
        FROM unnest(subjects) AS subject ORDER BY 1
    ) AS requested;
    IF NOT EXISTS (SELECT FROM connection_leases WHERE id = p_lease_id AND expires_at > clock_timestamp()) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH granted AS MATERIALIZED (
        SELECT requested.subject, greatest(requested.open, least(requested.wanted, requested.max - (
            SELECT coalesce(sum(other.slots), 0)::integer
            FROM connection_slots other JOIN connection_leases lease ON lease.id = other.lease_id
            WHERE other.subject = requested.subject AND other.lease_id <> p_lease_id
              AND lease.expires_at > clock_timestamp()
        ))) AS slots
        FROM unnest(subjects, open_connections, wanted_slots, max_slots) AS requested(subject, open, wanted, max)
    ), released AS (
        DELETE FROM connection_slots old USING granted
        WHERE old.lease_id = p_lease_id AND old.subject = granted.subject AND granted.slots = 0
    ), saved AS (
        INSERT INTO connection_slots AS old (lease_id, subject, slots)
        SELECT p_lease_id, granted.subject, granted.slots FROM granted WHERE granted.slots > 0
        ON CONFLICT (lease_id, subject) DO UPDATE SET slots = excluded.slots WHERE old.slots <> excluded.slots
    )
    SELECT granted.subject, granted.slots FROM granted;
END $$;


-- Billing -------------------------------------------------------------------------------------------------------------

CREATE TYPE ledger_account AS ENUM ('budget', 'reserved', 'spent', 'uncertain');
CREATE TYPE ledger_kind AS ENUM ('RESERVE', 'SETTLE', 'RELEASE', 'MARK_UNCERTAIN', 'ADJUST');
-- Counters are locked in the order of this declaration.
CREATE TYPE budget_scope AS ENUM ('END_USER', 'API_KEY', 'WORKSPACE');

CREATE TABLE ledger_entries (
    id BIGSERIAL NOT NULL,
    -- The entries of one movement share the number of the transaction that inserted them.
    transaction_id BIGINT NOT NULL DEFAULT ((pg_current_xact_id())::text)::bigint,
    at TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    workspace_id UUID NOT NULL,
    task_id UUID NOT NULL,
    account ledger_account NOT NULL,
    amount DECIMAL(24,8) NOT NULL,
    currency TEXT NOT NULL,
    kind ledger_kind NOT NULL,
    CONSTRAINT ledger_entries_pkey PRIMARY KEY (id)
);
CREATE INDEX ledger_entries_task_id_idx ON ledger_entries (task_id);

-- The ledger is append-only, so that every balance can be traced to its entries.
CREATE FUNCTION prevent_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger_entries is append-only: % is not allowed', TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Insert new entries that correct the old ones.';
END $$;
-- A statement trigger also fires for TRUNCATE and for statements that match no row.
CREATE TRIGGER ledger_entries_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION prevent_ledger_change();

CREATE TABLE budgets (
    workspace_id UUID NOT NULL,
    scope budget_scope NOT NULL,
    scope_id TEXT NOT NULL,
    amount DECIMAL(24,8),
    currency TEXT,
    CONSTRAINT budgets_pkey PRIMARY KEY (workspace_id, scope, scope_id)
);

-- Every change of a counter is a new version of the same row. Free space on each page keeps those versions on it, so the
-- index does not change with them.
CREATE TABLE budget_counters (
    workspace_id UUID NOT NULL,
    scope budget_scope NOT NULL,
    scope_id TEXT NOT NULL,
    month DATE NOT NULL,
    currency TEXT NOT NULL,
    reserved DECIMAL(24,8) NOT NULL DEFAULT 0,
    spent DECIMAL(24,8) NOT NULL DEFAULT 0,
    uncertain DECIMAL(24,8) NOT NULL DEFAULT 0,
    CONSTRAINT budget_counters_pkey PRIMARY KEY (workspace_id, scope, scope_id, month, currency)
) WITH (fillfactor = 50);

-- Records a movement of money of one task: the change of each account in the ledger, and the same changes in the counters
-- of the budgets in the mask (1 workspace, 2 API key, 4 end user). The account 'budget' gets the amount that makes the
-- entries sum to zero. Counters are locked in the order of their scopes, as by every other statement, to avoid deadlocks.
CREATE FUNCTION record_ledger_movement(
    p_task_id UUID, p_workspace_id UUID, p_key_lineage_id UUID, p_end_user_id TEXT, p_currency TEXT,
    p_budget_mask SMALLINT, p_month DATE, p_kind ledger_kind, reserved_change NUMERIC, spent_change NUMERIC, uncertain_change NUMERIC
) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_entries (workspace_id, task_id, account, amount, currency, kind)
    SELECT p_workspace_id, p_task_id, change.account::ledger_account, change.amount, p_currency, p_kind
    FROM (VALUES ('budget', -(reserved_change + spent_change + uncertain_change)), ('reserved', reserved_change),
                 ('spent', spent_change), ('uncertain', uncertain_change)) change (account, amount)
    WHERE change.amount <> 0;
    IF p_budget_mask <> 0 THEN
        INSERT INTO budget_counters AS counter
            (workspace_id, scope, scope_id, month, currency, reserved, spent, uncertain)
        SELECT p_workspace_id, budget.scope::budget_scope, budget.scope_id, p_month, p_currency,
               reserved_change, spent_change, uncertain_change
        FROM (VALUES ('END_USER', p_end_user_id, 4), ('API_KEY', p_key_lineage_id::text, 2),
                     ('WORKSPACE', p_workspace_id::text, 1)) budget (scope, scope_id, bit)
        WHERE p_budget_mask & budget.bit <> 0 ORDER BY 2
        ON CONFLICT (workspace_id, scope, scope_id, month, currency) DO UPDATE SET
            reserved = counter.reserved + excluded.reserved, spent = counter.spent + excluded.spent,
            uncertain = counter.uncertain + excluded.uncertain;
    END IF;
END $$;


-- Instances and leases ------------------------------------------------------------------------------------------------

CREATE TABLE instances (
    id TEXT NOT NULL,
    started_at TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_heartbeat_at TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT instances_pkey PRIMARY KEY (id)
);

CREATE TABLE leases (
    name TEXT NOT NULL,
    expires_at TIMESTAMPTZ(3) NOT NULL,
    CONSTRAINT leases_pkey PRIMARY KEY (name)
);

-- After a failover to a server whose clock is behind, what was due would wait until that clock catches up. A heartbeat that
-- lies in the future shows such a step. This moves every time in the future that work waits for back by the step, once for
-- all instances, and returns the step in milliseconds, or 0. Heartbeats become current, because an instance that is alive
-- sends its next one by the new clock. Times that callers see, such as deadlines and expiries, stay as they are.
-- test/db/postgres/clock-step.test.ts has a reason for every column that is left out.
CREATE FUNCTION move_times_back() RETURNS DOUBLE PRECISION LANGUAGE plpgsql AS $$
DECLARE
    step INTERVAL;
    present TIMESTAMPTZ;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('darkroom move times back', 0));
    -- Not now(): another instance may have moved them and sent heartbeats while this one waited for the lock.
    present := clock_timestamp();
    SELECT max(last_heartbeat_at) - present INTO step FROM instances;
    IF step IS NULL OR step < interval '1 second' THEN
        RETURN 0;
    END IF;
    UPDATE instances SET last_heartbeat_at = present WHERE last_heartbeat_at > present;
    UPDATE leases SET expires_at = expires_at - step WHERE expires_at > present;
    UPDATE connection_leases SET expires_at = expires_at - step WHERE expires_at > present;
    UPDATE in_flight_leases SET expires_at = expires_at - step WHERE expires_at > present;
    UPDATE tasks SET not_before = not_before - step WHERE status = 'QUEUED' AND not_before > present;
    UPDATE tasks SET checked_at = coalesce(checked_at, submitted_at, created_at) - step
    WHERE status IN ('RUNNING', 'UNCONFIRMED') AND coalesce(checked_at, submitted_at, created_at) > present;
    UPDATE tasks SET checked_at = checked_at - step
    WHERE status IN ('SUCCEEDED', 'CANCELED', 'EXPIRED') AND upstream_task_id IS NOT NULL
      AND delivered_count + late_image_count < requested_count
      AND greatest(finished_at, submitted_at) > present - interval '1 hour' AND checked_at > present;
    UPDATE images SET ingest_at = ingest_at - step
    WHERE stored_at IS NULL AND lost_at IS NULL AND deleted_at IS NULL AND upstream_url IS NOT NULL AND ingest_at > present;
    UPDATE blobs SET check_at = check_at - step WHERE check_at > present;
    UPDATE webhook_deliveries SET next_attempt_at = next_attempt_at - step
    WHERE status = 'PENDING' AND next_attempt_at > present;
    UPDATE rate_limit_windows SET ends_at = ends_at - step WHERE ends_at > present;
    UPDATE graphile_worker._private_jobs SET locked_at = locked_at - step WHERE locked_at > present;
    UPDATE graphile_worker._private_jobs SET run_at = run_at - step WHERE run_at > present;
    -- Last, because claims of tasks wait for this row.
    UPDATE submission_pace
    SET paused_until = paused_until - step, refused_at = refused_at - step, changed_at = changed_at - step
    WHERE paused_until > present OR changed_at > present;
    UPDATE scheduler_head SET next_submission_at = next_submission_at - step WHERE next_submission_at > present;
    RETURN extract(epoch FROM step) * 1000;
END $$;
