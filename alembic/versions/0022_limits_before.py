"""Whether the limits of a model are before the Galaxy in all classes, or only in those behind it, as those of before.

Revision ID: 0022
Revises: 0021
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE xcat.model ADD COLUMN limits_before_galaxy boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE xcat.model ALTER COLUMN limits_before_galaxy DROP DEFAULT")


def downgrade() -> None:
    op.execute("ALTER TABLE xcat.model DROP COLUMN limits_before_galaxy")
