-- Uploaded pictures have no task and no link of the upstream.
ALTER TABLE "images" ALTER COLUMN "task_id" DROP NOT NULL;
ALTER TABLE "images" ALTER COLUMN "upstream_url" DROP NOT NULL;
ALTER TABLE "images" ADD COLUMN "deleted_at" TIMESTAMPTZ(3);
ALTER TABLE "images" ADD COLUMN "file_name" TEXT;
CREATE INDEX "images_parent_id_id_idx" ON "images"("parent_id", "id");
-- What the store is cleaned by: who has the same bytes, and whose time is over.
CREATE INDEX "images_sha256_idx" ON "images"("sha256");
CREATE INDEX "images_retention_idx" ON "images"("stored_at") WHERE "deleted_at" IS NULL;

-- The bytes in the store, one row for each content.
CREATE TABLE "blobs" (
    "sha256" BYTEA NOT NULL,
    "check_at" TIMESTAMPTZ(3),
    CONSTRAINT "blobs_pkey" PRIMARY KEY ("sha256")
);
CREATE INDEX "blobs_check_at_idx" ON "blobs"("check_at");
INSERT INTO "blobs" ("sha256") SELECT DISTINCT "sha256" FROM "images" WHERE "sha256" IS NOT NULL;

CREATE TABLE "uploads" (
    "id" UUID NOT NULL,
    "workspace_id" UUID NOT NULL,
    "actor" TEXT NOT NULL,
    "file_name" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "used_at" TIMESTAMPTZ(3),
    CONSTRAINT "uploads_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "uploads_expires_at_idx" ON "uploads"("expires_at");
