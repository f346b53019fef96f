"""How strong the ridge on a model's weights was.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "model",
        sa.Column(
            "inverse_ridge",
            sa.Double(),
            comment="Strength C of the ridge on the weights of the properties, the smaller the stronger; NULL: no ridge,"
            " or not recorded {stat.fit.param}",
        ),
        schema="xcat",
    )
    op.create_check_constraint(
        op.f("model_inverse_ridge_check"),
        "model",
        "inverse_ridge > 0 AND inverse_ridge < 'Infinity'",
        schema="xcat",
    )


def downgrade() -> None:
    op.drop_column("model", "inverse_ridge", schema="xcat")
