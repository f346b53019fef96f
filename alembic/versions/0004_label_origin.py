"""The reference that a label comes from, and evaluations by it and on a second origin.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _folds(kinds: str) -> None:
    # partitions keep their own copy of the check when the table loses it
    op.execute("ALTER TABLE xcat.evaluation DROP CONSTRAINT evaluation_folds_check")
    op.execute("""
        DO $$ DECLARE part regclass; BEGIN
            FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'xcat.evaluation'::regclass LOOP
                EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS evaluation_folds_check', part);
            END LOOP;
        END $$
    """)
    op.execute(f"ALTER TABLE xcat.evaluation ADD CONSTRAINT evaluation_folds_check CHECK (folds IN ({kinds}))")


def upgrade() -> None:
    op.execute("ALTER TABLE xcat.reference_object ADD COLUMN label_ref text")
    _folds("'source', 'sky', 'origin', 'second_origin'")


def downgrade() -> None:
    op.execute("DELETE FROM xcat.evaluation WHERE folds IN ('origin', 'second_origin')")
    _folds("'source', 'sky'")
    op.execute("ALTER TABLE xcat.reference_object DROP COLUMN label_ref")
