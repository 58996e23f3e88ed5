-- CreateTable
CREATE UNLOGGED TABLE "connection_holders" (
    "id" UUID NOT NULL,
    "until" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "connection_holders_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE UNLOGGED TABLE "connection_places" (
    "holder_id" UUID NOT NULL,
    "subject" TEXT NOT NULL,
    "places" INTEGER NOT NULL,

    CONSTRAINT "connection_places_pkey" PRIMARY KEY ("holder_id","subject")
);

-- CreateIndex
CREATE INDEX "connection_places_subject_idx" ON "connection_places"("subject");

-- AddForeignKey
ALTER TABLE "connection_places" ADD CONSTRAINT "connection_places_holder_id_fkey" FOREIGN KEY ("holder_id") REFERENCES "connection_holders"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Gives an instance places for connections, and takes back those that it needs no more: so many as it wants of each subject, but no
-- more than its limit leaves beside those of the other instances that are alive, and no fewer than it has open. Returns what it
-- holds then, or nothing when its own lease has ended: then it says first that it is alive.
--
-- The numbers are absolute, so asking twice changes nothing. The locks make those wait for each other, until the commit, who ask for
-- the same subject, and are taken in one order; what comes after them sees what was committed before.
CREATE FUNCTION hold_connections(
    the_holder uuid, subjects text[], open integer[], wanted integer[], limits integer[]
) RETURNS TABLE (name text, held integer) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(asked.lock) FROM (
        SELECT DISTINCT hashtextextended('darkroom connections ' || subject, 0) AS lock
        FROM unnest(subjects) AS subject ORDER BY 1
    ) AS asked;
    IF NOT EXISTS (SELECT FROM connection_holders WHERE id = the_holder AND until > clock_timestamp()) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH granted AS MATERIALIZED (
        SELECT asked.subject, greatest(asked.open, least(asked.wanted, asked.most - (
            SELECT coalesce(sum(place.places), 0)::integer
            FROM connection_places place JOIN connection_holders holder ON holder.id = place.holder_id
            WHERE place.subject = asked.subject AND place.holder_id <> the_holder AND holder.until > clock_timestamp()
        ))) AS places
        FROM unnest(subjects, open, wanted, limits) AS asked(subject, open, wanted, most)
    ), emptied AS (
        DELETE FROM connection_places old USING granted
        WHERE old.holder_id = the_holder AND old.subject = granted.subject AND granted.places = 0
    ), kept AS (
        INSERT INTO connection_places AS old (holder_id, subject, places)
        SELECT the_holder, granted.subject, granted.places FROM granted WHERE granted.places > 0
        ON CONFLICT (holder_id, subject) DO UPDATE SET places = excluded.places WHERE old.places <> excluded.places
    )
    SELECT granted.subject, granted.places FROM granted;
END $$;
