"""Watchlists remember which sources they watch: one that has left the query, or is gone, is told, too.

Revision ID: 0017
Revises: 0016
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE people.watchlist ADD COLUMN source_ids bigint[] NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE people.watchlist ALTER COLUMN source_ids DROP DEFAULT")


def downgrade() -> None:
    op.execute("ALTER TABLE people.watchlist DROP COLUMN source_ids")
