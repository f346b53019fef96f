"""The jobs of the TAP service.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE xcat.tap_job (
            job_id text PRIMARY KEY, client text NOT NULL, client_run_id text,
            phase text NOT NULL CONSTRAINT tap_job_phase_check
                CHECK (phase IN ('PENDING', 'QUEUED', 'EXECUTING', 'COMPLETED', 'ERROR', 'ABORTED')),
            created_at timestamptz NOT NULL DEFAULT now(), started_at timestamptz, ended_at timestamptz,
            execution_limit_s integer NOT NULL, destruction_at timestamptz NOT NULL,
            parameters jsonb NOT NULL, error text, media_type text, n_bytes bigint
        )
    """)
    op.execute("CREATE INDEX tap_job_client_created_at_idx ON xcat.tap_job (client, created_at)")
    op.execute("CREATE INDEX tap_job_destruction_at_idx ON xcat.tap_job (destruction_at)")


def downgrade() -> None:
    op.execute("DROP TABLE xcat.tap_job")
