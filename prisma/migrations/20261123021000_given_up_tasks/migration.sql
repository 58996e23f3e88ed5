-- What the reconciler still asks about after its end: the pictures are paid for.
CREATE INDEX "tasks_given_up_idx" ON "tasks"("finished_at")
    WHERE "status" IN ('CANCELED', 'EXPIRED') AND "upstream_task_id" IS NOT NULL AND "late_count" = 0;
