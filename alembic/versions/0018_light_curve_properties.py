"""Properties of sources from their light curves.

Runs of before have none of it.

Revision ID: 0018
Revises: 0017
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TABLES = ("xcat.property", "pub.classified_runs")
COLUMNS = ("log_rate_ratio", "mean_excess_variance", "mean_excess_variance_err")


def upgrade() -> None:
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} " + ", ".join(f"ADD COLUMN {name} real" for name in COLUMNS))


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} " + ", ".join(f"DROP COLUMN {name}" for name in COLUMNS))
