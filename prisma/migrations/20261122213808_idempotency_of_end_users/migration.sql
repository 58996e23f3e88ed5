-- A key is one of its end user, or of those tasks of the workspace that are for none: what one browser sends must not meet what
-- another one did. Keys that were used before stand for the same tasks, as those say for whom they are.
CREATE UNIQUE INDEX "tasks_idempotency_key" ON "tasks"("workspace_id", (coalesce("end_user_id", '')), "idempotency_key");

-- DropIndex
DROP INDEX "tasks_workspace_id_idempotency_key_key";
