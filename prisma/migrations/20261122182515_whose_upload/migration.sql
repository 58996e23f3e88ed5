-- AlterTable
ALTER TABLE "images" ADD COLUMN     "end_user_id" TEXT;

-- AlterTable
ALTER TABLE "uploads" ADD COLUMN     "end_user_id" TEXT;

-- What an end user may see of a workspace that has thousands of them; most tasks of a workspace without any are not in it.
CREATE INDEX "tasks_workspace_id_end_user_id_id_idx" ON "tasks"("workspace_id", "end_user_id", "id" DESC)
    WHERE "end_user_id" IS NOT NULL;
