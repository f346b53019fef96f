"""The best measured source of every master source, and what the other missions say.

Published runs that are kept get the new columns from their own rows; so do the links. The columns are appended to tables
of any size without writing them again: only rows of linked and of labelled sources change.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# table: new columns; a default is the value of a source that is alone
COLUMNS = {
    "xcat.master_source": {"mission_rank": "smallint NOT NULL DEFAULT 1"},
    "pub.master_sources_runs": {"mission_rank": "smallint NOT NULL DEFAULT 1"},
    "pub.classified_runs": {
        "is_best_of_master": "boolean NOT NULL DEFAULT true",
        "missions_agree": "boolean NOT NULL DEFAULT true",
        "other_missions": "text NOT NULL DEFAULT ''",
        "known_class_of_master": "text",
    },
    "pub.ulx_candidates_runs": {
        "master_id": "bigint",
        "n_missions": "smallint",
        "is_best_of_master": "boolean NOT NULL DEFAULT true",
        "missions_agree": "boolean NOT NULL DEFAULT true",
        "other_missions": "text NOT NULL DEFAULT ''",
        "known_class_of_master": "text",
    },
}

LINKS = """
UPDATE xcat.master_source AS m
SET mission_rank = r.mission_rank
FROM (
    SELECT b.run_id, b.source_id, row_number() OVER (
               PARTITION BY b.run_id, b.master_id
               ORDER BY s.err_arcsec, s.snr DESC NULLS LAST, k.name COLLATE "C", b.source_id) AS mission_rank
    FROM xcat.master_source AS b
    JOIN xcat.run AS l ON l.run_id = b.run_id
    JOIN xcat.source AS s ON s.run_id = l.source_run_id AND s.source_id = b.source_id
    JOIN xcat.catalogue AS k ON k.catalogue_id = s.catalogue_id
    WHERE b.status = 'linked') AS r
WHERE m.run_id = r.run_id AND m.source_id = r.source_id AND r.mission_rank > 1
"""

# what was published, from itself alone
WORK = """
CREATE TEMP TABLE member ON COMMIT DROP AS
SELECT run_id, master_id, source_id, class, known_class,
       catalogue || ' ' || class || ' ' || to_char(p_class, 'FM0.00') AS answer,
       row_number() OVER (PARTITION BY run_id, master_id
                          ORDER BY err_arcsec, snr DESC NULLS LAST, catalogue COLLATE "C", source_id) AS mission_rank
FROM pub.classified_runs
WHERE n_missions > 1;
ANALYZE member
"""

PUBLISHED = """
UPDATE pub.master_sources_runs AS m
SET mission_rank = r.mission_rank
FROM member AS r
WHERE m.run_id = r.run_id AND m.source_id = r.source_id AND r.mission_rank > 1;

UPDATE pub.classified_runs SET known_class_of_master = known_class
WHERE known_class IS NOT NULL AND coalesce(n_missions, 1) = 1;

UPDATE pub.classified_runs AS c
SET is_best_of_master = r.mission_rank = 1, missions_agree = r.missions_agree, other_missions = r.other_missions,
    known_class_of_master = r.known_class
FROM (
    SELECT a.run_id, a.source_id, a.mission_rank, bool_and(a.class = b.class) AS missions_agree,
           coalesce(string_agg(b.answer, ', ' ORDER BY b.mission_rank)
                    FILTER (WHERE b.source_id <> a.source_id), '') AS other_missions,
           (array_agg(b.known_class ORDER BY b.source_id <> a.source_id, b.mission_rank)
            FILTER (WHERE b.known_class IS NOT NULL))[1] AS known_class
    FROM member AS a
    JOIN member AS b USING (run_id, master_id)
    GROUP BY a.run_id, a.source_id, a.mission_rank) AS r
WHERE c.run_id = r.run_id AND c.source_id = r.source_id;

UPDATE pub.ulx_candidates_runs AS u
SET master_id = c.master_id, n_missions = c.n_missions, missions_agree = c.missions_agree,
    other_missions = c.other_missions, known_class_of_master = c.known_class_of_master
FROM pub.classified_runs AS c
WHERE c.run_id = u.run_id AND c.source_id = u.source_id;

UPDATE pub.ulx_candidates_runs AS u
SET is_best_of_master = false
FROM member AS a, member AS b, pub.ulx_candidates_runs AS other
WHERE a.run_id = u.run_id AND a.source_id = u.source_id
  AND b.run_id = a.run_id AND b.master_id = a.master_id AND b.mission_rank < a.mission_rank
  AND other.run_id = b.run_id AND other.source_id = b.source_id
"""


def upgrade() -> None:
    driver = op.get_bind().exec_driver_sql
    for table, columns in COLUMNS.items():
        added = ", ".join(f"ADD COLUMN {name} {type_}" for name, type_ in columns.items())
        driver(f"ALTER TABLE {table} {added}")
    driver(LINKS)
    driver(WORK)
    driver(PUBLISHED)
    for table, columns in COLUMNS.items():
        with_default = [name for name, type_ in columns.items() if "DEFAULT" in type_]
        driver(f"ALTER TABLE {table} " + ", ".join(f"ALTER COLUMN {name} DROP DEFAULT" for name in with_default))


def downgrade() -> None:
    for table, columns in COLUMNS.items():
        op.execute(f"ALTER TABLE {table} " + ", ".join(f"DROP COLUMN {name}" for name in columns))
