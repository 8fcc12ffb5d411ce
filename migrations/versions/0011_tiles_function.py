"""Tiles are made by the database itself, of the log: the application can no longer store one that is false."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_FUNCTIONS = r"""
CREATE FUNCTION tile_root(hashes bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = public, pg_temp AS $$
BEGIN
    WHILE length(hashes) > 32 LOOP
        SELECT string_agg(sha256('\x01'::bytea || substr(hashes, 64 * n + 1, 64)), ''::bytea ORDER BY n) INTO hashes
        FROM generate_series(0, length(hashes) / 64 - 1) AS n;
    END LOOP;
    RETURN hashes;
END $$;
COMMENT ON FUNCTION tile_root IS 'the root (RFC 6962) over the hashes of a full tile';

CREATE FUNCTION add_tile(at_level integer, at_index bigint, its_hashes bytea) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO tiles (level, index, root, hashes) VALUES (at_level, at_index, tile_root(its_hashes), its_hashes);
    IF at_index % 256 = 255 THEN
        PERFORM add_tile(at_level + 1, at_index / 256, (
            SELECT string_agg(root, ''::bytea ORDER BY index) FROM tiles
            WHERE level = at_level AND index > at_index - 256 AND index <= at_index
        ));
    END IF;
END $$;
COMMENT ON FUNCTION add_tile IS 'stores a full tile, and those above that it completes; for the owner alone';

CREATE FUNCTION fill_tiles(most integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    done bigint;
    ready bigint;
    tile record;
BEGIN
    IF NOT pg_try_advisory_xact_lock(4703010) THEN
        RETURN false;
    END IF;
    SELECT coalesce(max(index) + 1, 0) INTO done FROM tiles WHERE level = 0;
    SELECT coalesce((SELECT size FROM batches ORDER BY prev DESC LIMIT 1), 0) / 256 INTO ready;
    FOR tile IN
        SELECT seq / 256 AS index, string_agg(sha256('\x00'::bytea || entry), ''::bytea ORDER BY seq) AS hashes FROM log
        WHERE seq >= done * 256 AND seq < least(done + most, ready) * 256 GROUP BY 1 ORDER BY 1
    LOOP
        PERFORM add_tile(0, tile.index, tile.hashes);
    END LOOP;
    RETURN done + most < ready;
END $$;
COMMENT ON FUNCTION fill_tiles IS 'stores the next tiles that the log has filled, so many at most; true when there are more';

CREATE FUNCTION forget_tiles(first bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    forgotten bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(4703010);
    ALTER TABLE tiles DISABLE TRIGGER append_only;
    DELETE FROM tiles WHERE index >= first >> 8 * level::integer;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    ALTER TABLE tiles ENABLE ALWAYS TRIGGER append_only;
    RETURN forgotten;
END $$;
COMMENT ON FUNCTION forget_tiles IS 'deletes the tiles from one of level 0 on, and those above; for the owner alone';
"""

_RIGHTS = """
REVOKE INSERT ON tiles FROM authsvc_app;
REVOKE EXECUTE ON FUNCTION
    tile_root(bytea), add_tile(integer, bigint, bytea), fill_tiles(integer), forget_tiles(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fill_tiles(integer) TO authsvc_app;
"""


def upgrade() -> None:
    """Create the functions, and let the application call the one that reads the log."""
    op.execute(_FUNCTIONS)
    op.execute(_RIGHTS)


def downgrade() -> None:
    """Give the right back, for the code that made tiles itself."""
    op.execute("GRANT INSERT ON tiles TO authsvc_app")
    op.execute(
        "DROP FUNCTION forget_tiles(bigint), fill_tiles(integer), add_tile(integer, bigint, bytea), tile_root(bytea)"
    )
