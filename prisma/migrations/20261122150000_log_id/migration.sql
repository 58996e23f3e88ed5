-- Tells this log from those of other databases: cursors carry a mark that is made from it.
ALTER TABLE "event_log_head" ADD COLUMN "log_id" UUID NOT NULL DEFAULT gen_random_uuid();
