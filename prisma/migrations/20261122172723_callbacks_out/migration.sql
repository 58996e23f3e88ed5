-- CreateEnum
CREATE TYPE "outgoing_callback_kind" AS ENUM ('RESULT', 'LATE_RESULT');

-- CreateEnum
CREATE TYPE "outgoing_callback_status" AS ENUM ('PENDING', 'DELIVERED', 'ABANDONED');

-- AlterTable
ALTER TABLE "images" ADD COLUMN     "reported" JSONB;

-- AlterTable
ALTER TABLE "tasks" ADD COLUMN     "callback_url" TEXT,
ADD COLUMN     "pending_late" SMALLINT NOT NULL DEFAULT 0,
ADD COLUMN     "trace_id" TEXT;

-- AlterTable
ALTER TABLE "workspaces" ADD COLUMN     "webhook_overlap_until" TIMESTAMPTZ(3),
ADD COLUMN     "webhook_secret_version" INTEGER NOT NULL DEFAULT 1;

-- CreateTable
CREATE TABLE "outgoing_callbacks" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "seq" BIGSERIAL NOT NULL,
    "workspace_id" UUID NOT NULL,
    "task_id" UUID NOT NULL,
    "kind" "outgoing_callback_kind" NOT NULL,
    "status" "outgoing_callback_status" NOT NULL DEFAULT 'PENDING',
    "receiver" TEXT NOT NULL,
    "attempts" SMALLINT NOT NULL DEFAULT 0,
    "attempts_before" SMALLINT NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "outgoing_callbacks_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "deliveries" (
    "id" UUID NOT NULL,
    "callback_id" UUID NOT NULL,
    "task_id" UUID NOT NULL,
    "workspace_id" UUID NOT NULL,
    "attempt" SMALLINT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "status_code" SMALLINT,
    "failure" TEXT,
    "latency_ms" INTEGER NOT NULL,
    "answer" TEXT,
    "next_attempt_at" TIMESTAMPTZ(3),

    CONSTRAINT "deliveries_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "outgoing_callbacks_task_id_seq_idx" ON "outgoing_callbacks"("task_id", "seq");

-- CreateIndex
CREATE INDEX "deliveries_task_id_id_idx" ON "deliveries"("task_id", "id" DESC);

-- What is due, receiver by receiver; and whether an earlier one of the same task is still to be delivered.
CREATE INDEX "outgoing_callbacks_due_idx" ON "outgoing_callbacks"("receiver", "next_attempt_at") WHERE "status" = 'PENDING';

-- Late images that are on their way to the store while this is applied.
UPDATE "tasks" SET "pending_late" = late.count
FROM (SELECT task_id, count(*) FROM "images"
      WHERE late AND stored_at IS NULL AND lost_at IS NULL AND deleted_at IS NULL GROUP BY task_id) late
WHERE "tasks".id = late.task_id;
