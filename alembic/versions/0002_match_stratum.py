"""What a match has learned is kept, so that other positions can be matched with it.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE xcat.match_stratum (
            run_id integer NOT NULL REFERENCES xcat.run ON DELETE CASCADE,
            catalogue_id smallint NOT NULL REFERENCES xcat.catalogue,
            part smallint NOT NULL, source_kind smallint NOT NULL,
            log_objects_low double precision NOT NULL, err_low_arcsec double precision NOT NULL,
            err_typical_arcsec double precision NOT NULL, epoch_mean_yr double precision NOT NULL,
            epoch_std_yr double precision NOT NULL, reach_arcsec double precision NOT NULL,
            log_odds double precision[] NOT NULL, completenesses double precision[] NOT NULL,
            cutoffs double precision[] NOT NULL, log_back double precision[] NOT NULL,
            log_alone double precision[] NOT NULL,
            PRIMARY KEY (run_id, source_kind)
        )
    """)
    op.execute("""
        CREATE TABLE xcat.match_cut_out (
            run_id integer NOT NULL REFERENCES xcat.run ON DELETE CASCADE,
            catalogue_id smallint NOT NULL REFERENCES xcat.catalogue,
            prior_shape double precision NOT NULL, mean_of_all double precision NOT NULL,
            pools integer[] NOT NULL, pool_means double precision[] NOT NULL,
            PRIMARY KEY (run_id, catalogue_id)
        )
    """)
    # a run of before has no strata, without which its curves are not looked up: the value does not matter
    op.execute("""
        ALTER TABLE xcat.magnitude_prior
            ADD COLUMN pattern smallint NOT NULL DEFAULT 0, ADD COLUMN term_no smallint NOT NULL DEFAULT 0
    """)
    op.execute("""
        ALTER TABLE xcat.magnitude_prior ALTER COLUMN pattern DROP DEFAULT, ALTER COLUMN term_no DROP DEFAULT
    """)


def downgrade() -> None:
    op.execute("DROP TABLE xcat.match_stratum, xcat.match_cut_out")
    op.execute("ALTER TABLE xcat.magnitude_prior DROP COLUMN pattern, DROP COLUMN term_no")
