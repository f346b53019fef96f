"""Checks before publishing, releases, and what a publication changed.

Of the publications of before, the first of every run is the one that wrote its tables.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# gate: its first threshold (xcat/jobs/gates.py says what it means)
GATES = {
    "sources_lost": 0.1,
    "sources_gained": 1.0,
    "area_lost": 0.1,
    "missions_gone": 0.0,
    "class_fraction": 0.5,
    "recall": 0.1,
    "recall_lost": 0.1,
    "calibration": 3.0,
    "changed_classes": 0.1,
    "unmatched": 0.1,
    "famous_lost": 0.0,
    "withdrawn": 0.0,
}


def upgrade() -> None:
    op.execute("""
        ALTER TABLE xcat.publication
            ADD COLUMN how text NOT NULL DEFAULT 'published'
                CHECK (how IN ('written', 'published', 'forced', 'rolled back')),
            ADD COLUMN why text,
            ADD COLUMN withdrawn boolean NOT NULL DEFAULT false
    """)
    op.execute("""
        UPDATE xcat.publication SET how = 'written'
        WHERE publication_id IN (SELECT min(publication_id) FROM xcat.publication GROUP BY run_id) AND NOT active
    """)
    op.execute("""
        CREATE TABLE xcat.gate (
            gate text PRIMARY KEY, threshold double precision NOT NULL, is_on boolean NOT NULL
        )
    """)
    for name, threshold in GATES.items():
        op.execute(f"INSERT INTO xcat.gate VALUES ('{name}', {threshold}, true)")
    op.execute("""
        CREATE TABLE xcat.famous_object (
            name text PRIMARY KEY,
            ra double precision NOT NULL CHECK (ra >= 0 AND ra < 360),
            "dec" double precision NOT NULL CHECK ("dec" >= -90 AND "dec" <= 90),
            radius_arcsec double precision NOT NULL,
            class text NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE xcat.release (
            label text PRIMARY KEY,
            run_id integer REFERENCES xcat.run,
            created_at timestamptz NOT NULL DEFAULT now(),
            record jsonb NOT NULL,
            removed_at timestamptz,
            removed_why text,
            CONSTRAINT release_removed_check CHECK ((run_id IS NULL) = (removed_at IS NOT NULL))
        )
    """)
    op.execute("CREATE INDEX release_run_id_idx ON xcat.release (run_id)")
    op.execute("""
        CREATE TABLE xcat.class_change (
            publication_id integer NOT NULL REFERENCES xcat.publication ON DELETE CASCADE,
            source_id bigint NOT NULL, old_source_id bigint NOT NULL, name text NOT NULL, catalogue text NOT NULL,
            ra double precision NOT NULL, "dec" double precision NOT NULL, old_class text NOT NULL,
            old_p_class real NOT NULL, class text NOT NULL, p_class real NOT NULL, cause text NOT NULL, property text,
            push real, old_property_value double precision, property_value double precision, old_counterpart text,
            counterpart text,
            PRIMARY KEY (publication_id, source_id)
        )
    """)


def downgrade() -> None:
    for table in ("class_change", "release", "famous_object", "gate"):
        op.execute(f"DROP TABLE xcat.{table}")
    op.execute("ALTER TABLE xcat.publication DROP COLUMN how, DROP COLUMN why, DROP COLUMN withdrawn")
