"""Answers of an evaluation.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KINDS = (
    "kind IN ('pipeline', 'ingest', 'merge', 'link', 'match', 'properties', 'label', 'fit', 'classify', 'publish'{})"
)


def upgrade() -> None:
    op.create_table(
        "evaluation",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "source_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
        ),
        sa.Column(
            "method",
            sa.Text(),
            nullable=False,
            comment="Method of classification, as xcat evaluate names it {meta.code}",
        ),
        sa.Column("seed", sa.Integer(), nullable=False, comment="Seed of the folds and of the method {meta.number}"),
        sa.Column(
            "folds",
            sa.Text(),
            nullable=False,
            comment="What stays together in a fold: one physical object (source), or a cell of the sky of 1.4 degrees (sky) {meta.code}",
        ),
        sa.Column("class", sa.Text(), nullable=False, comment="Class {src.class}"),
        sa.Column(
            "fold",
            sa.SmallInteger(),
            nullable=False,
            comment="Fold of the cross-validation in which the source was held out {meta.number}",
        ),
        sa.Column(
            "p",
            postgresql.ARRAY(sa.REAL()),
            nullable=False,
            comment="Posterior probability of each class, in the order of the model's classes {stat.probability}",
        ),
        sa.CheckConstraint("folds IN ('source', 'sky')", name=op.f("evaluation_folds_check")),
        sa.CheckConstraint(
            "0 <= ALL (p) AND 1 >= ALL (p) AND array_position(p, NULL) IS NULL", name=op.f("evaluation_p_check")
        ),
        sa.PrimaryKeyConstraint("run_id", "source_id", "method", "seed", "folds", name=op.f("evaluation_pkey")),
        schema="xcat",
        comment="What every method answered for every labelled source (of a table of one's own: every row), by what the other folds taught it",
        postgresql_partition_by="LIST (run_id)",
    )
    op.drop_constraint(op.f("run_kind_check"), "run", schema="xcat", type_="check")
    op.create_check_constraint(op.f("run_kind_check"), "run", _KINDS.format(", 'evaluate'"), schema="xcat")


def downgrade() -> None:
    op.drop_constraint(op.f("run_kind_check"), "run", schema="xcat", type_="check")
    op.execute("DELETE FROM xcat.run WHERE kind = 'evaluate'")
    op.create_check_constraint(op.f("run_kind_check"), "run", _KINDS.format(""), schema="xcat")
    op.drop_table("evaluation", schema="xcat")
