"""Jobs and schedules: how far a run is and whether it is to end, pipelines at set times, and the queue of jobs.

The queue is procrastinate's own, in a schema of its own. What waits in it can be asked for again: a downgrade drops it.

Revision ID: 0011
Revises: 0010
"""

import psycopg
from alembic import op
from procrastinate.schema import SchemaManager

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def _states(names: str) -> None:
    op.execute("ALTER TABLE xcat.run DROP CONSTRAINT run_status_check")
    op.execute(f"ALTER TABLE xcat.run ADD CONSTRAINT run_status_check CHECK (status IN ({names}))")


def upgrade() -> None:
    _states("'running', 'done', 'failed', 'lost', 'cancelled'")
    op.execute("""
        CREATE TABLE xcat.run_progress (
            run_id integer PRIMARY KEY REFERENCES xcat.run ON DELETE CASCADE,
            host text NOT NULL, pid integer NOT NULL, os_user text NOT NULL,
            beat_at timestamptz NOT NULL DEFAULT now(),
            stage text, step text, share_done real, cancelled_by text, cancelled_at timestamptz
        )
    """)
    op.execute("""
        CREATE TABLE xcat.schedule (
            name text PRIMARY KEY, cron text NOT NULL, time_zone text NOT NULL,
            pipeline_file text NOT NULL, data_folder text NOT NULL, options jsonb NOT NULL, hook text,
            is_paused boolean NOT NULL DEFAULT false, added_at timestamptz NOT NULL DEFAULT now(),
            next_at timestamptz NOT NULL, last_at timestamptz, last_outcome text
        )
    """)
    op.execute("CREATE SCHEMA IF NOT EXISTS procrastinate")
    driver: psycopg.Connection = op.get_bind().connection.driver_connection
    ((path,),) = driver.execute("SELECT current_setting('search_path')").fetchall()
    driver.execute("SET search_path TO procrastinate, pg_catalog")
    driver.execute(SchemaManager.get_schema().encode())
    driver.execute("SELECT set_config('search_path', %s, false)", [path])


def downgrade() -> None:
    op.execute("DROP SCHEMA procrastinate CASCADE")
    op.execute("DROP TABLE xcat.schedule, xcat.run_progress")
    op.execute("UPDATE xcat.run SET status = 'failed' WHERE status = 'cancelled'")
    _states("'running', 'done', 'failed', 'lost'")
