"""How much of the weights of the categories the weights of a model's properties have.

Models of before do not say it.

Revision ID: 0020
Revises: 0019
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE xcat.model ADD COLUMN category_share double precision "
        "CONSTRAINT model_category_share_check CHECK (category_share >= 0 AND category_share <= 1)"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE xcat.model DROP COLUMN category_share")
