-- AlterTable
ALTER TABLE "tasks" ADD COLUMN     "end_user_id" TEXT,
ADD COLUMN     "key_id" UUID,
ADD COLUMN     "priority" SMALLINT NOT NULL DEFAULT 1;
