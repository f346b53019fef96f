"""Gas and dust of the Galaxy along the line of sight, which classes lie behind it, and the depth of catalogues by place.

Runs and models of before have none of it: they classify as they did.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_COLUMN = ("nh_gal_cm2", "ebv_mag", "flux_absorbed_dex", "hr1_absorbed", "hr2_absorbed")
# table: new columns
COLUMNS = {
    "xcat.detection": {"nh_gal_cm2": "real"},
    "xcat.source": {"nh_gal_cm2": "real"},
    "xcat.property": dict.fromkeys(_COLUMN, "real"),
    "pub.classified_runs": dict.fromkeys(_COLUMN, "real"),
    "xcat.model_class": {"behind_galaxy": "boolean NOT NULL DEFAULT false"},
    "xcat.likelihood_table": {"column_shift": "double precision[]", "absence_columns": "text[]"},
}


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        op.execute(f"ALTER TABLE {table} " + ", ".join(f"ADD COLUMN {name} {type_}" for name, type_ in columns.items()))
    op.execute("ALTER TABLE xcat.model_class ALTER COLUMN behind_galaxy DROP DEFAULT")
    op.execute("""
        CREATE TABLE xcat.catalogue_depth (
            run_id integer NOT NULL REFERENCES xcat.run ON DELETE CASCADE,
            catalogue_id smallint NOT NULL REFERENCES xcat.catalogue,
            band text NOT NULL, depth_cells integer[] NOT NULL, depth_mags real[] NOT NULL,
            PRIMARY KEY (run_id, catalogue_id, band)
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE xcat.catalogue_depth")
    for table, columns in COLUMNS.items():
        op.execute(f"ALTER TABLE {table} " + ", ".join(f"DROP COLUMN {name}" for name in columns))
