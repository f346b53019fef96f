"""The functions and views of sql/.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

from xcat.database import objects

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    objects.create(op.get_bind())


def downgrade() -> None:
    objects.drop(op.get_bind())
