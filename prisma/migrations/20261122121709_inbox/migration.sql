-- CreateEnum
CREATE TYPE "callback_verdict" AS ENUM ('APPLIED', 'DUPLICATE', 'EARLY', 'LATE', 'UNKNOWN_TASK', 'CONFLICT', 'MALFORMED');

-- AlterTable
ALTER TABLE "tasks" ADD COLUMN     "retry_of_id" UUID,
ADD COLUMN     "submission_id" UUID;

-- CreateTable
CREATE TABLE "callbacks" (
    "id" UUID NOT NULL,
    "received_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "workspace_id" UUID,
    "task_id" UUID NOT NULL,
    "verdict" "callback_verdict" NOT NULL,
    "body" BYTEA NOT NULL,

    CONSTRAINT "callbacks_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "callbacks_workspace_id_id_idx" ON "callbacks"("workspace_id", "id" DESC);

-- CreateIndex
CREATE INDEX "callbacks_task_id_idx" ON "callbacks"("task_id");

-- CreateTable
CREATE TABLE "leases" (
    "name" TEXT NOT NULL,
    "until" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "leases_pkey" PRIMARY KEY ("name")
);
