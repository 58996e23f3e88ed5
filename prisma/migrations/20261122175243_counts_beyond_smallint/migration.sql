-- Somebody who asks for 32,768 rounds must not stop the claims of everybody.
-- AlterTable
ALTER TABLE "deliveries" ALTER COLUMN "attempt" SET DATA TYPE INTEGER,
ALTER COLUMN "status_code" SET DATA TYPE INTEGER;

-- AlterTable
ALTER TABLE "outgoing_callbacks" ALTER COLUMN "attempts" SET DATA TYPE INTEGER,
ALTER COLUMN "attempts_before" SET DATA TYPE INTEGER;
