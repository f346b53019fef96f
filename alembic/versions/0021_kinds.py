"""Kinds of classes, each with tables of its own.

Labels and models of before have none.

Revision ID: 0021
Revises: 0020
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE xcat.model_class ADD COLUMN part_of text")
    op.execute("ALTER TABLE xcat.label ADD COLUMN class_kind text")


def downgrade() -> None:
    op.execute("ALTER TABLE xcat.label DROP COLUMN class_kind")
    op.execute("ALTER TABLE xcat.model_class DROP COLUMN part_of")
