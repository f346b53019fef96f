"""When backups were written, for xcat health.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE xcat.backup (
            created_at timestamptz PRIMARY KEY DEFAULT now(),
            file_name text NOT NULL, n_bytes bigint NOT NULL, host text NOT NULL
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE xcat.backup")
