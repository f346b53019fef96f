"""More properties, their errors, limits and coverage.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# columns of type real, with their comments: of a counterpart, so of a hypothesis too; of the source alone
_OF_A_COUNTERPART = {
    "parallax_sigma": "Parallax of the optical counterpart in units of its error: parallax_mas / parallax_err_mas of the optical counterpart {stat.snr;pos.parallax.trig}",
    "distance_pc": "Distance: as the catalogue of the optical counterpart gives it [pc] {pos.distance}",
    "log_lx_counterpart": "Log of the X-ray luminosity in erg / s at the distance of the optical counterpart: log10(4 pi distance_pc^2 flux_std_cgs) {phys.luminosity;em.X-ray}",
    "log_fx_fj": "Log of the X-ray to J flux ratio: log10(flux_std_cgs) + 6.29 + J / 2.5 {phot.flux;arith.ratio}",
    "bp_rp": "BP - RP colour: mag_gaia_bp - mag_gaia_rp of one object [mag] {phot.color;em.opt.B;em.opt.R}",
    "r_w1": "Red optical to W1 colour: R - mag_w1, R as in log_fx_fr [mag] {phot.color;em.opt.R;em.IR.3-4um}",
    "j_k": "J - Ks colour: mag_j - mag_k of one object [mag] {phot.color;em.IR.J;em.IR.K}",
    "h_k": "H - Ks colour: mag_h - mag_k of one object [mag] {phot.color;em.IR.H;em.IR.K}",
    "j_w1": "J - W1 colour: mag_j - mag_w1 [mag] {phot.color;em.IR.J;em.IR.3-4um}",
    "w1_w2": "W1 - W2 colour: mag_w1 - mag_w2 of one object [mag] {phot.color;em.IR.3-4um;em.IR.4-8um}",
    "w2_w3": "W2 - W3 colour: mag_w2 - mag_w3 of one object [mag] {phot.color;em.IR.4-8um;em.IR.8-15um}",
}
_OF_THE_SOURCE = {
    "abs_l": "Galactic longitude, folded at the Galactic centre: l up to 180, 360 - l beyond [deg] {pos.galactic.lon}",
    "log_lx_galaxy": "Log of the X-ray luminosity in erg / s if the source is in the galaxy: log10(4 pi d^2 flux_std_cgs) with the distance of the galaxy of sep_to_radius {phys.luminosity;em.X-ray}",
    "log_fx": "Log of the flux in erg / (s cm2), 0.2-12 keV: log10(flux_std_cgs) {phot.flux;em.X-ray}",
    "hr1_err": "1 sigma error of hr1 {stat.error;phot.color;em.X-ray}",
    "hr2_err": "1 sigma error of hr2 {stat.error;phot.color;em.X-ray}",
    "log_fx_err": "1 sigma error of the log of the flux, and of the flux ratios as far as it goes {stat.error;phot.flux;em.X-ray}",
}
_LIMIT = (
    "Log of the X-ray to {} flux ratio of a counterpart at the depth of the deepest catalogue that covers the position: "
    "a lower limit where there is no counterpart {{phot.flux;arith.ratio;stat.min}}"
)
_LIMITS = {"fb": "blue", "fr": "red", "fw1": "W1", "fw2": "W2", "fj": "J"}
_P_VARIABLE_LONG = "Probability that the source varied between observations: as the mission gives it {stat.probability;src.var;em.X-ray}"
_MAG_W3 = "W3 magnitude, Vega [mag] {phot.mag;em.IR.8-15um}"
_OBSERVED = "The position is on the footprint of an {} catalogue of the pipeline {{meta.code}}"
_DISTANCE_BEFORE = "Distance [pc] {pos.distance}"


def _properties() -> dict[str, str]:
    """New columns of type real of the table property, with their comments."""
    limits = {f"log_fx_{band}_limit": _LIMIT.format(name) for band, name in _LIMITS.items()}
    return _OF_A_COUNTERPART | _OF_THE_SOURCE | limits | {"p_variable_long": _P_VARIABLE_LONG}


def _add(table: str, name: str, comment: str) -> None:
    op.add_column(table, sa.Column(name, sa.REAL(), comment=comment), schema="xcat")


def upgrade() -> None:
    _add("counterpart", "mag_w3", _MAG_W3)
    _comment_on_distance(_OF_A_COUNTERPART["distance_pc"], _DISTANCE_BEFORE)
    for table in ("detection", "source"):
        _add(table, "p_variable_long", _P_VARIABLE_LONG)
        bounds = "p_variable_long >= 0 AND p_variable_long <= 1"
        op.create_check_constraint(op.f(f"{table}_p_variable_long_check"), table, bounds, schema="xcat")
    for name, comment in _OF_A_COUNTERPART.items():
        _add("hypothesis_property", name, comment)
    for name, comment in _properties().items():
        _add("property", name, comment)
    for kind in ("optical", "infrared"):
        # earlier runs took every position for observed
        column = sa.Column(
            f"observed_{kind}", sa.Boolean(), nullable=False, server_default=sa.true(), comment=_OBSERVED.format(kind)
        )
        op.add_column("property", column, schema="xcat")
        op.alter_column("property", f"observed_{kind}", server_default=None, schema="xcat")


def downgrade() -> None:
    for name in ("observed_infrared", "observed_optical", *reversed(_properties())):
        op.drop_column("property", name, schema="xcat")
    for name in reversed(_OF_A_COUNTERPART):
        op.drop_column("hypothesis_property", name, schema="xcat")
    for table in ("source", "detection"):
        op.drop_column(table, "p_variable_long", schema="xcat")
    _comment_on_distance(_DISTANCE_BEFORE, _OF_A_COUNTERPART["distance_pc"])
    op.drop_column("counterpart", "mag_w3", schema="xcat")


def _comment_on_distance(comment: str, before: str) -> None:
    op.alter_column(
        "counterpart",
        "distance_pc",
        existing_type=sa.REAL(),
        comment=comment,
        existing_comment=before,
        existing_nullable=True,
        schema="xcat",
    )
