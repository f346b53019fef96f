"""Models with errors, limits, pairs of properties and weights of one class on another; tail probabilities of outliers.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# column: type, value for the models that are there, comment
_MODEL = {
    "terms": (
        "text[]",
        "properties",
        "Names of the terms of the score, the properties and then the pairs of properties, in the order of every per-term array {meta.id}",
    ),
    "term_category": ("text[]", "property_category", "Category of each term, in the order of the terms {meta.id}"),
    "weighting": (
        "text",
        "CASE WHEN offsets IS NULL THEN 'given' ELSE 'property' END",
        "How the terms were weighted: equal, given, category or property {meta.code}",
    ),
    "smoothing": ("double precision", "1", "Factor on the kernel bandwidths {stat.fit.param}"),
    "outlier_p": (
        "double precision[]",
        "ARRAY[1, 0.01]",
        "Tail probabilities of the outlier levels {stat.probability}",
    ),
    "outlier_levels": (
        "double precision[]",
        "(SELECT array_agg(ARRAY[0, m.outlier_limit]) FROM xcat.model AS m, unnest(m.classes) WHERE m.run_id = t.run_id)",
        "Outlier measure that members of each class exceed with the tail probabilities, one row a class; from the reference sample, out of fold {stat.likelihood}",
    ),
}
_TABLE = {
    "axes": ("text[]", "ARRAY[property]", "The properties that the table is a function of {meta.id}"),
    "scales": (
        "text[]",
        "ARRAY[CASE WHEN property IN ('pm_mas_yr', 'flux_ratio_sigma') THEN 'log10' ELSE 'linear' END]",
        "Scale of each axis: linear, log10 or asinh {meta.code}",
    ),
    "grid_2": ("double precision[]", None, "Nodes of the second property, on its scale {stat.param}"),
    "log_smeared": (
        "double precision[]",
        None,
        "The same, blurred by errors of 1, sqrt(2), 2, ... steps of the grid, one row a level {stat.likelihood}",
    ),
    "log_atoms": (
        "double precision[]",
        None,
        "Natural log of the probability of a value on the lower and on the upper wall, per step of the grid {stat.probability}",
    ),
    "log_above": (
        "double precision[]",
        None,
        "Natural log of the probability of a value beyond each node {stat.probability}",
    ),
    "mixing": (
        "double precision[]",
        "(SELECT array_agg(CASE WHEN c = t.class THEN t.exponent ELSE 0 END ORDER BY i) FROM xcat.model AS m, unnest(m.classes) WITH ORDINALITY AS k (c, i) WHERE m.run_id = t.run_id)",
        "What the advantage of each class in this term adds to the score of this class, in the order of the classes {stat.weight}",
    ),
    "typical_error": (
        "double precision",
        None,
        "Median error of the values in the table, on the property's scale {stat.error}",
    ),
    "error_column": ("text", None, "Column with the errors of the property {meta.id}"),
    "limit_column": ("text", None, "Column with the lower limits of the property {meta.id}"),
    "observed_column": ("text", None, "Column that says whether anybody looked for the property {meta.id}"),
}
# (table, column): comment before and after
_COMMENTS = {
    ("model", "offsets"): (
        "Added to the log of the priors of the classes, where exponents were fitted; NULL with category weights {stat.fit.param}",
        "Added to the log of the priors of the classes {stat.fit.param}",
    ),
    ("likelihood_table", "property"): (
        "Property {meta.id}",
        "Property, or two of them as a*b {meta.id}",
    ),
    ("likelihood_table", "grid"): (
        "Nodes of the table, on the property's scale {stat.param}",
        "Nodes of the table on the scale of the property; of two properties, of the first {stat.param}",
    ),
    ("likelihood_table", "log_density"): (
        "Natural log of the class's density at the nodes, per unit of the property's scale {stat.likelihood}",
        "Natural log of the class's density at the nodes, per unit of the property's scale; of two properties the log of the joint density over the product of both, row by row {stat.likelihood}",
    ),
    ("classification", "is_outlier"): (
        "The outlier measure is above the model's limit {meta.code}",
        "Fewer than one in a hundred members of the best class are as outlying {meta.code}",
    ),
    ("classification", "evidence"): (
        "Natural-log likelihood term of every property and class, property by property {stat.likelihood}",
        "Natural-log likelihood of every term and class with the accepted counterpart, term by term {stat.likelihood}",
    ),
}
_PROPERTY_CATEGORY = "Category of each property, in the order of the properties {meta.id}"
_OUTLIER_LIMIT = "Outlier measure above which a source is called an outlier, a quantile of the out-of-fold reference sample {stat.fit.param}"
_EXPONENT = (
    "Exponent of the class's likelihood of this property: sharpness alpha / sum of alpha, or as fitted {stat.fit.param}"
)
_P_TAIL = "Probability that a member of the best class is as outlying as this or more {stat.probability}"
_ABOUT_TABLE = (
    "The density of a property in a class, as a table on a grid",
    "The density of a property in a class, or of two properties beside the product of both, as a table on a grid",
)
_NULLABLE = (
    "grid_2",
    "log_smeared",
    "log_atoms",
    "log_above",
    "typical_error",
    "error_column",
    "limit_column",
    "observed_column",
)
_TYPES = {
    "text": sa.Text(),
    "text[]": postgresql.ARRAY(sa.Text()),
    "double precision": sa.DOUBLE_PRECISION(),
    "double precision[]": postgresql.ARRAY(sa.DOUBLE_PRECISION()),
}

_CHECKS = (
    ("model", "weighting", "weighting IN ('equal', 'given', 'category', 'property')"),
    ("model", "terms", "cardinality(terms) = cardinality(term_category)"),
    ("model", "smoothing", "smoothing > 0 AND smoothing < 'Infinity'"),
    ("likelihood_table", "axes", "cardinality(axes) = cardinality(scales) AND cardinality(axes) IN (1, 2)"),
    ("likelihood_table", "mixing", "'Infinity' > ALL (mixing) AND '-Infinity' < ALL (mixing)"),
)
_TAIL_SLOPE = ("tail_slope > 0 AND tail_slope < 'Infinity'", "tail_slope >= 0 AND tail_slope < 'Infinity'")
_P_TAIL_CHECK = "p_tail >= 0 AND p_tail <= 1"


def _add(table: str, columns: dict[str, tuple[str, str | None, str]]) -> None:
    for name, (kind, _, comment) in columns.items():
        op.add_column(table, sa.Column(name, _TYPES[kind], comment=comment), schema="xcat")
    values = ", ".join(f"{name} = {value}" for name, (_, value, _) in columns.items() if value is not None)
    op.execute(f"UPDATE xcat.{table} AS t SET {values}")
    for name in columns:
        if name not in _NULLABLE:
            op.alter_column(table, name, nullable=False, schema="xcat")


def _comment(index: int) -> None:
    for (table, name), texts in _COMMENTS.items():
        op.execute(f"COMMENT ON COLUMN xcat.{table}.{name} IS $${texts[index]}$$")
    op.execute(f"COMMENT ON TABLE xcat.likelihood_table IS $${_ABOUT_TABLE[index]}$$")


def upgrade() -> None:
    _add("model", _MODEL)
    _add("likelihood_table", _TABLE)
    op.execute(
        "UPDATE xcat.model SET offsets = array_fill(0::double precision, ARRAY[cardinality(classes)]) WHERE offsets IS NULL"
    )
    op.alter_column("model", "offsets", nullable=False, schema="xcat")
    op.drop_column("model", "property_category", schema="xcat")
    op.drop_column("model", "outlier_limit", schema="xcat")
    op.drop_column("likelihood_table", "exponent", schema="xcat")
    op.alter_column("likelihood_table", "n_present", type_=sa.DOUBLE_PRECISION(), schema="xcat")
    for table, name, check in _CHECKS:
        op.create_check_constraint(op.f(f"{table}_{name}_check"), table, check, schema="xcat")
    op.drop_constraint("likelihood_table_tail_slope_check", "likelihood_table", schema="xcat")
    op.create_check_constraint(
        op.f("likelihood_table_tail_slope_check"), "likelihood_table", _TAIL_SLOPE[1], schema="xcat"
    )
    op.add_column("classification", sa.Column("p_tail", sa.REAL(), comment=_P_TAIL), schema="xcat")
    op.execute("UPDATE xcat.classification SET p_tail = CASE WHEN is_outlier THEN 0.009 ELSE 1 END")
    op.alter_column("classification", "p_tail", nullable=False, schema="xcat")
    op.create_check_constraint(op.f("classification_p_tail_check"), "classification", _P_TAIL_CHECK, schema="xcat")
    _comment(1)


def downgrade() -> None:
    _comment(0)
    op.drop_column("classification", "p_tail", schema="xcat")
    # what older models do not know cannot be kept: tables of two properties, and weights of one class on another
    op.execute("DELETE FROM xcat.likelihood_table WHERE cardinality(axes) = 2")
    for table, name, _ in reversed(_CHECKS):
        op.drop_constraint(f"{table}_{name}_check", table, schema="xcat")
    op.drop_constraint("likelihood_table_tail_slope_check", "likelihood_table", schema="xcat")
    op.create_check_constraint(
        op.f("likelihood_table_tail_slope_check"), "likelihood_table", _TAIL_SLOPE[0], schema="xcat"
    )
    op.alter_column("likelihood_table", "n_present", type_=sa.Integer(), schema="xcat")
    op.add_column("likelihood_table", sa.Column("exponent", sa.DOUBLE_PRECISION(), comment=_EXPONENT), schema="xcat")
    op.execute(
        "UPDATE xcat.likelihood_table AS t SET exponent = greatest(0, mixing[array_position(m.classes, t.class)])"
        " FROM xcat.model AS m WHERE m.run_id = t.run_id"
    )
    op.alter_column("likelihood_table", "exponent", nullable=False, schema="xcat")
    op.create_check_constraint(
        op.f("likelihood_table_exponent_check"),
        "likelihood_table",
        "exponent >= 0 AND exponent < 'infinity'",
        schema="xcat",
    )
    op.add_column(
        "model",
        sa.Column("property_category", postgresql.ARRAY(sa.Text()), comment=_PROPERTY_CATEGORY),
        schema="xcat",
    )
    op.execute(
        "UPDATE xcat.model SET property_category = trim_array(term_category, cardinality(terms) - cardinality(properties))"
    )
    op.alter_column("model", "property_category", nullable=False, schema="xcat")
    op.add_column("model", sa.Column("outlier_limit", sa.DOUBLE_PRECISION(), comment=_OUTLIER_LIMIT), schema="xcat")
    op.execute("UPDATE xcat.model SET outlier_limit = (SELECT max(level) FROM unnest(outlier_levels) AS level)")
    op.alter_column("model", "outlier_limit", nullable=False, schema="xcat")
    op.alter_column("model", "offsets", nullable=True, schema="xcat")
    op.execute("UPDATE xcat.model SET offsets = NULL WHERE weighting <> 'property'")
    for table, columns in (("likelihood_table", _TABLE), ("model", _MODEL)):
        for name in reversed(columns):
            op.drop_column(table, name, schema="xcat")
