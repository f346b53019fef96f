"""Errors of the probabilities: replicates of every model, and what they say of every source.

Models and answers of before have none: their columns stay empty.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ANSWER = {"p_err": "real[]", "confidence": "real", "stability": "real", "familiarity": "real"}
_USUAL = {f"p_{name}_err": "real" for name in ("class", "agn", "star", "xrb", "cv")}
COLUMNS = {
    "xcat.model": {"best_levels": "double precision[]"},
    "xcat.model_class": {"offset_changes": "real[]"},
    "xcat.classification": _ANSWER,
    "xcat.out_of_fold": _ANSWER,
    "pub.classified_runs": _USUAL | {"confidence": "real", "stability": "real", "familiarity": "real"},
}
# columns of classes that a run was published with, beside the usual ones
OF_OTHER_CLASSES = r"""
SELECT attname FROM pg_attribute
WHERE attrelid = 'pub.classified_runs'::regclass AND attnum > 0 AND NOT attisdropped AND attname LIKE 'p\_%%'
  AND attname <> ALL ('{p_class,p_agn,p_star,p_xrb,p_cv,p_tail,p_variable,p_variable_long}')
"""


def upgrade() -> None:
    driver = op.get_bind().exec_driver_sql
    for (name,) in driver(OF_OTHER_CLASSES).fetchall():
        driver(f'ALTER TABLE pub.classified_runs ADD COLUMN "{name}_err" real')
    op.execute("""
        CREATE TABLE xcat.likelihood_replicate (
            run_id integer NOT NULL, property text NOT NULL, place smallint NOT NULL, changes real[] NOT NULL,
            PRIMARY KEY (run_id, property, place),
            FOREIGN KEY (run_id, property) REFERENCES xcat.model_term (run_id, term) ON DELETE CASCADE
        )
    """)
    for table, columns in COLUMNS.items():
        op.execute(f"ALTER TABLE {table} " + ", ".join(f"ADD COLUMN {name} {type_}" for name, type_ in columns.items()))
    for table in ("classification", "out_of_fold"):
        for name in ("stability", "familiarity"):
            check = f"CHECK ({name} >= 0 AND {name} <= 1)"
            op.execute(f"ALTER TABLE xcat.{table} ADD CONSTRAINT {table}_{name}_check {check}")


def downgrade() -> None:
    driver = op.get_bind().exec_driver_sql
    for (name,) in driver(OF_OTHER_CLASSES).fetchall():
        if name.endswith("_err") and name not in _USUAL:
            driver(f'ALTER TABLE pub.classified_runs DROP COLUMN "{name}"')
    op.execute("DROP TABLE xcat.likelihood_replicate")
    for table, columns in COLUMNS.items():
        op.execute(f"ALTER TABLE {table} " + ", ".join(f"DROP COLUMN {name}" for name in columns))
