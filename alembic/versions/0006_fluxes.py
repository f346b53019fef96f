"""What a mission says of its sources, and the flaws of detections.

Sources of earlier runs get no flaws: their definitions did not say which detections have some.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_QUANTITIES = [f"flux{band}{error}_cgs" for band in ("", "_soft", "_medium", "_hard") for error in ("", "_err")]
_OF_SOURCE = [f"source_{name}" for name in (*_QUANTITIES, "hr1", "hr1_err", "hr2", "hr2_err")]
_OF_SOURCES = {
    "flaws": "text",
    "n_flawed": "integer NOT NULL DEFAULT 0",
    "flux_is_doubtful": "boolean NOT NULL DEFAULT false",
}

# table: new columns; a default is the value of a source of earlier runs
COLUMNS = {
    "xcat.detection": {**dict.fromkeys(_OF_SOURCE, "real"), "flaws": "text"},
    "xcat.source": _OF_SOURCES,
    "pub.classified_runs": _OF_SOURCES,
}


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        op.execute(f"ALTER TABLE {table} " + ", ".join(f"ADD COLUMN {n} {t}" for n, t in columns.items()))
        with_default = [name for name, type_ in columns.items() if "DEFAULT" in type_]
        if with_default:
            op.execute(f"ALTER TABLE {table} " + ", ".join(f"ALTER COLUMN {n} DROP DEFAULT" for n in with_default))


def downgrade() -> None:
    for table, columns in COLUMNS.items():
        op.execute(f"ALTER TABLE {table} " + ", ".join(f"DROP COLUMN {name}" for name in columns))
