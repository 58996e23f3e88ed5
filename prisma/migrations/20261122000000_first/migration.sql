CREATE TYPE "task_kind" AS ENUM ('GENERATE', 'EDIT');
CREATE TYPE "task_status" AS ENUM ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELED', 'EXPIRED');

CREATE TABLE "workspaces" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "workspaces_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "api_keys" (
    "id" UUID NOT NULL,
    "workspace_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "prefix" TEXT NOT NULL,
    "hash" BYTEA NOT NULL,
    "scopes" TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),
    CONSTRAINT "api_keys_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "api_keys_workspace_id_fkey" FOREIGN KEY ("workspace_id") REFERENCES "workspaces"("id") ON DELETE RESTRICT ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "api_keys_hash_key" ON "api_keys"("hash");

CREATE TABLE "tasks" (
    "id" UUID NOT NULL,
    "workspace_id" UUID NOT NULL,
    "kind" "task_kind" NOT NULL,
    "status" "task_status" NOT NULL DEFAULT 'QUEUED',
    "prompt" TEXT NOT NULL,
    "model" TEXT NOT NULL,
    "size" TEXT,
    "requested_count" SMALLINT NOT NULL,
    "delivered_count" SMALLINT NOT NULL DEFAULT 0,
    "pending_images" SMALLINT NOT NULL DEFAULT 0,
    "source_image_id" UUID,
    "source_image_url" TEXT,
    "failure" JSONB,
    "upstream_task_id" TEXT,
    "upstream_trace_id" TEXT,
    "attempts" SMALLINT NOT NULL DEFAULT 0,
    "idempotency_key" TEXT,
    "input_hash" BYTEA NOT NULL,
    "metadata" JSON,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "submitted_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),
    "deadline_at" TIMESTAMPTZ(3) NOT NULL,
    "checked_at" TIMESTAMPTZ(3),
    CONSTRAINT "tasks_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "tasks_pending_images_not_negative" CHECK ("pending_images" >= 0)
);
CREATE UNIQUE INDEX "tasks_workspace_id_idempotency_key_key" ON "tasks"("workspace_id", "idempotency_key");
CREATE INDEX "tasks_workspace_id_id_idx" ON "tasks"("workspace_id", "id" DESC);
CREATE INDEX "tasks_workspace_id_status_id_idx" ON "tasks"("workspace_id", "status", "id" DESC);
CREATE INDEX "tasks_workspace_id_model_id_idx" ON "tasks"("workspace_id", "model", "id" DESC);
-- What the reconciler and the deadline sweep look through: only tasks that have not ended, however long the history is.
CREATE INDEX "tasks_unfinished_idx" ON "tasks"("deadline_at")
    WHERE "status" IN ('QUEUED', 'SUBMITTING', 'UNCONFIRMED', 'RUNNING');
CREATE INDEX "tasks_running_idx" ON "tasks"((coalesce("checked_at", "submitted_at")))
    WHERE "status" = 'RUNNING';
CREATE INDEX "tasks_prompt_search_idx" ON "tasks" USING gin (to_tsvector('simple', "prompt"));

CREATE TABLE "images" (
    "id" UUID NOT NULL,
    "workspace_id" UUID NOT NULL,
    "task_id" UUID NOT NULL,
    "index" SMALLINT NOT NULL,
    "late" BOOLEAN NOT NULL DEFAULT false,
    "upstream_url" TEXT NOT NULL,
    "seed" TEXT,
    "inference_seconds" DOUBLE PRECISION,
    "parent_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "width" INTEGER,
    "height" INTEGER,
    "mime_type" TEXT,
    "byte_size" INTEGER,
    "sha256" BYTEA,
    "thumbhash" BYTEA,
    "stored_at" TIMESTAMPTZ(3),
    "lost_at" TIMESTAMPTZ(3),
    "lost_reason" TEXT,
    CONSTRAINT "images_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "images_task_id_fkey" FOREIGN KEY ("task_id") REFERENCES "tasks"("id") ON DELETE RESTRICT ON UPDATE CASCADE,
    CONSTRAINT "images_stored_or_lost" CHECK ("stored_at" IS NULL OR "lost_at" IS NULL)
);
CREATE UNIQUE INDEX "images_task_id_index_key" ON "images"("task_id", "index");

CREATE TABLE "task_events" (
    "seq" BIGSERIAL NOT NULL,
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "position" BIGINT,
    "workspace_id" UUID NOT NULL,
    "task_id" UUID NOT NULL,
    "type" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
    "actor" TEXT NOT NULL,
    "data" JSONB NOT NULL DEFAULT '{}',
    "settles" BOOLEAN NOT NULL DEFAULT false,
    CONSTRAINT "task_events_pkey" PRIMARY KEY ("seq"),
    CONSTRAINT "task_events_task_id_fkey" FOREIGN KEY ("task_id") REFERENCES "tasks"("id") ON DELETE RESTRICT ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "task_events_position_key" ON "task_events"("position");
CREATE INDEX "task_events_task_id_position_idx" ON "task_events"("task_id", "position");
CREATE INDEX "task_events_workspace_id_position_idx" ON "task_events"("workspace_id", "position");
CREATE INDEX "task_events_unsealed_idx" ON "task_events"("seq") WHERE "position" IS NULL;

-- Append-only. An event's position is filled in once, by sealing; nothing else about it ever changes.
CREATE FUNCTION "refuse_event_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'task_events is append-only: % refused', TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Write a new event that corrects the old one.';
END $$;
CREATE TRIGGER "task_events_no_delete" BEFORE DELETE ON "task_events"
    FOR EACH STATEMENT EXECUTE FUNCTION "refuse_event_change"();
CREATE TRIGGER "task_events_no_truncate" BEFORE TRUNCATE ON "task_events"
    FOR EACH STATEMENT EXECUTE FUNCTION "refuse_event_change"();
CREATE TRIGGER "task_events_no_update"
    BEFORE UPDATE OF "seq", "id", "workspace_id", "task_id", "type", "at", "actor", "data", "settles" ON "task_events"
    FOR EACH STATEMENT EXECUTE FUNCTION "refuse_event_change"();
CREATE TRIGGER "task_events_seal_once" BEFORE UPDATE OF "position" ON "task_events"
    FOR EACH ROW WHEN (OLD."position" IS NOT NULL OR NEW."position" IS NULL)
    EXECUTE FUNCTION "refuse_event_change"();

CREATE TABLE "event_log_head" (
    "only" BOOLEAN NOT NULL DEFAULT true,
    "position" BIGINT NOT NULL DEFAULT 0,
    CONSTRAINT "event_log_head_pkey" PRIMARY KEY ("only"),
    CONSTRAINT "event_log_head_is_one_row" CHECK ("only")
);
INSERT INTO "event_log_head" DEFAULT VALUES;

-- Gives committed, unsealed events the next contiguous positions, in the order they were written, and wakes the readers.
-- Returns how many it sealed, or NULL when another session is sealing at this moment: then ask again soon.
-- Call it as a statement of its own, outside a transaction, so that a stopped client cannot hold the head's lock.
-- The order of writing is safe per task: an event is written after its task's row was locked.
CREATE FUNCTION "seal_events"("batch" INTEGER) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
    head BIGINT;
    sealed INTEGER;
BEGIN
    SELECT h."position" INTO head FROM "event_log_head" h FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    WITH next AS (
        SELECT u."seq", row_number() OVER (ORDER BY u."seq") AS place
        FROM (SELECT e."seq" FROM "task_events" e WHERE e."position" IS NULL ORDER BY e."seq" LIMIT "batch") u
    )
    UPDATE "task_events" e SET "position" = head + next.place FROM next WHERE e."seq" = next."seq";
    GET DIAGNOSTICS sealed = ROW_COUNT;
    IF sealed > 0 THEN
        UPDATE "event_log_head" SET "position" = head + sealed;
        PERFORM pg_notify('darkroom_events', (head + sealed)::text);
    END IF;
    RETURN sealed;
END $$;
