"""Where catalogues have looked: occupied parts of the cells of a density map, and what the match made of it.

Maps of before are as fine as their cells, every part of which counts as occupied; sources of before were searched
everywhere.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = {
    "xcat.density_map": ("occupied_parts", "bigint NOT NULL DEFAULT -1"),
    "xcat.match": (
        "covered",
        "real NOT NULL DEFAULT 1 CONSTRAINT match_covered_check CHECK (covered >= 0 AND covered <= 1)",
    ),
    "xcat.match_stratum": ("searched", "smallint NOT NULL DEFAULT 0"),
}


def upgrade() -> None:
    for table, (name, type_) in COLUMNS.items():
        op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {type_}")
        if name == "searched":  # by all catalogues, of which there are as many patterns
            op.execute("UPDATE xcat.match_stratum SET searched = cardinality(log_odds)")
        if name != "covered":
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT")


def downgrade() -> None:
    for table, (name, _) in COLUMNS.items():
        op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
