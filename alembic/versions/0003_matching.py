"""Master sources, hypotheses, what a match learned; error ellipses of sources, upper limits.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


_KINDS = "kind IN ('pipeline', 'ingest', 'merge', {}'match', 'properties', 'label', 'fit', 'classify', 'publish')"
_ELLIPSE = "err_maj_arcsec IS NULL OR err_min_arcsec > 0 AND err_maj_arcsec >= err_min_arcsec AND err_maj_arcsec < 3600"


def upgrade() -> None:
    op.create_table(
        "hypothesis",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "source_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
        ),
        sa.Column(
            "rank",
            sa.SmallInteger(),
            nullable=False,
            comment="Place of the hypothesis by probability, 1 the best; 0 is the hypothesis of no counterpart {meta.number}",
        ),
        sa.Column(
            "catalogues",
            postgresql.ARRAY(sa.SmallInteger()),
            nullable=False,
            comment="Catalogues that have a member in the hypothesis: numbers in the table, names in the view {meta.id;meta.dataset}",
        ),
        sa.Column(
            "objects",
            postgresql.ARRAY(sa.BigInteger()),
            nullable=False,
            comment="The members, in the order of the catalogues: numbers in the table, the catalogues' own identifiers in the view {meta.id}",
        ),
        sa.Column(
            "log_bayes_factor",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Natural log of the Bayes factor of association against chance, from the positions {stat.likelihood}",
        ),
        sa.Column(
            "p_hypothesis",
            sa.REAL(),
            nullable=False,
            comment="Probability of the hypothesis; those of a source that are kept sum to less than 1 by what was too small to keep {stat.probability}",
        ),
        sa.Column(
            "p_i",
            sa.REAL(),
            nullable=True,
            comment="Probability that this candidate is the counterpart, given that there is one {stat.probability}",
        ),
        sa.Column(
            "match_flag",
            sa.SmallInteger(),
            nullable=False,
            comment="1: the best hypothesis; 2: one with more than half of its p_i; 0: others {meta.code}",
        ),
        sa.CheckConstraint("cardinality(catalogues) = cardinality(objects)", name=op.f("hypothesis_members_check")),
        sa.CheckConstraint("match_flag IN (0, 1, 2)", name=op.f("hypothesis_match_flag_check")),
        sa.CheckConstraint("p_hypothesis >= 0 AND p_hypothesis <= 1", name=op.f("hypothesis_p_hypothesis_check")),
        sa.CheckConstraint("p_i >= 0 AND p_i <= 1", name=op.f("hypothesis_p_i_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", "rank", name=op.f("hypothesis_pkey")),
        schema="xcat",
        comment="What a source may be in the counterpart catalogues together: combinations of one object of each or none, most probable first, rank 0 being none in any",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "hypothesis_property",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "source_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
        ),
        sa.Column(
            "rank",
            sa.SmallInteger(),
            nullable=False,
            comment="Place of the hypothesis by probability, 1 the best; 0 is the hypothesis of no counterpart {meta.number}",
        ),
        sa.Column(
            "p_hypothesis",
            sa.REAL(),
            nullable=False,
            comment="Probability of the hypothesis; those of a source that are kept sum to less than 1 by what was too small to keep {stat.probability}",
        ),
        sa.Column(
            "pm_mas_yr",
            sa.REAL(),
            nullable=True,
            comment="Total proper motion of the optical counterpart: sqrt(pmra_mas_yr^2 + pmdec_mas_yr^2) of the optical counterpart [mas / yr] {pos.pm}",
        ),
        sa.Column(
            "log_fx_fb",
            sa.REAL(),
            nullable=True,
            comment="Log of the X-ray to blue flux ratio: log10(flux_std_cgs) + 5.37 + B / 2.5 {phot.flux;arith.ratio}",
        ),
        sa.Column(
            "log_fx_fr",
            sa.REAL(),
            nullable=True,
            comment="Log of the X-ray to red flux ratio: log10(flux_std_cgs) + 5.37 + R / 2.5 {phot.flux;arith.ratio}",
        ),
        sa.Column(
            "log_fx_fw1",
            sa.REAL(),
            nullable=True,
            comment="Log of the X-ray to W1 flux ratio: log10(flux_std_cgs) + 6.95 + W1 / 2.5 {phot.flux;arith.ratio}",
        ),
        sa.Column(
            "log_fx_fw2",
            sa.REAL(),
            nullable=True,
            comment="Log of the X-ray to W2 flux ratio: log10(flux_std_cgs) + 6.95 + W2 / 2.5 {phot.flux;arith.ratio}",
        ),
        sa.CheckConstraint(
            "p_hypothesis >= 0 AND p_hypothesis <= 1", name=op.f("hypothesis_property_p_hypothesis_check")
        ),
        sa.PrimaryKeyConstraint("run_id", "source_id", "rank", name=op.f("hypothesis_property_pkey")),
        schema="xcat",
        comment="The properties that need a counterpart, for every hypothesis that is probable enough",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "master",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "master_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the master source, one source across missions: the same in every run {meta.id;meta.main}",
        ),
        sa.Column(
            "ra", sa.DOUBLE_PRECISION(), nullable=False, comment="Right ascension, ICRS [deg] {pos.eq.ra;meta.main}"
        ),
        sa.Column(
            "dec", sa.DOUBLE_PRECISION(), nullable=False, comment="Declination, ICRS [deg] {pos.eq.dec;meta.main}"
        ),
        sa.Column(
            "err_arcsec",
            sa.REAL(),
            nullable=False,
            comment="Positional error, 1 sigma per axis (of an ellipse: the geometric mean) [arcsec] {stat.error;pos.eq}",
        ),
        sa.Column(
            "n_missions", sa.SmallInteger(), nullable=False, comment="Missions that have the source {meta.number}"
        ),
        sa.Column(
            "n_sources",
            sa.SmallInteger(),
            nullable=False,
            comment="Sources of single missions, or sources that were counted {meta.number}",
        ),
        sa.Column("n_detections", sa.Integer(), nullable=False, comment="Number of detections {meta.number;obs}"),
        sa.Column(
            "n_upper_limits",
            sa.Integer(),
            nullable=False,
            comment="Observations with an upper limit only {meta.number}",
        ),
        sa.Column(
            "is_ambiguous",
            sa.Boolean(),
            nullable=False,
            comment="A source near it could be part of it or of another one; no variability is derived across missions then {meta.code}",
        ),
        sa.Column(
            "mjd_first",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Start of the first observation, modified Julian date [d] {time.start;obs}",
        ),
        sa.Column(
            "mjd_last",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Start of the last observation, modified Julian date [d] {time.start;obs}",
        ),
        sa.Column(
            "flux_std_min_cgs",
            sa.REAL(),
            nullable=True,
            comment="Smallest flux of the detections, in 0.2-12 keV [erg / (s cm2)] {phot.flux;em.X-ray;stat.min}",
        ),
        sa.Column(
            "flux_std_max_cgs",
            sa.REAL(),
            nullable=True,
            comment="Largest flux of the detections, in 0.2-12 keV [erg / (s cm2)] {phot.flux;em.X-ray;stat.max}",
        ),
        sa.Column(
            "flux_ratio",
            sa.REAL(),
            nullable=True,
            comment="Largest over smallest flux of the detections {src.var.amplitude;em.X-ray}",
        ),
        sa.Column(
            "flux_ratio_low",
            sa.REAL(),
            nullable=True,
            comment="Flux ratio that the errors leave, max(F-sigma) / min(F+sigma); below 1 where the fluxes agree {src.var.amplitude;em.X-ray;stat.min}",
        ),
        sa.Column(
            "flux_ratio_sigma",
            sa.REAL(),
            nullable=True,
            comment="Significance of the difference between the largest and the smallest flux: (max F - min F) / sqrt(sigma^2 + sigma^2) over the detections of all missions, two at least, in 0.2-12 keV {stat.snr;src.var.amplitude;em.X-ray}",
        ),
        sa.CheckConstraint("dec >= -90 AND dec <= 90", name=op.f("master_dec_check")),
        sa.CheckConstraint("err_arcsec > 0 AND err_arcsec < 3600", name=op.f("master_err_arcsec_check")),
        sa.CheckConstraint("ra >= 0 AND ra < 360", name=op.f("master_ra_check")),
        sa.PrimaryKeyConstraint("run_id", "master_id", name=op.f("master_pkey")),
        schema="xcat",
        comment="Sources of several missions that are one, with their fluxes in one band",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_index(
        "master_q3c_idx", "master", [sa.literal_column("public.q3c_ang2ipix(ra, dec)")], unique=False, schema="xcat"
    )
    op.create_table(
        "master_source",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "source_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
        ),
        sa.Column(
            "master_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the master source, one source across missions: the same in every run {meta.id;meta.main}",
        ),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="State: running, done, failed or lost for a run; used, duplicate, conflict or unmapped for a label; single, linked or ambiguous for a source among the missions; accepted, ambiguous or rejected for a pair of sources {meta.code.status}",
        ),
        sa.CheckConstraint("status IN ('single', 'linked', 'ambiguous')", name=op.f("master_source_status_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", name=op.f("master_source_pkey")),
        schema="xcat",
        comment="Which sources a master source is made of",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_index(op.f("master_source_master_id_idx"), "master_source", ["master_id"], unique=False, schema="xcat")
    op.create_table(
        "source_link",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "source_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
        ),
        sa.Column(
            "other_source_id", sa.BigInteger(), nullable=False, comment="The other source of the pair {meta.id.assoc}"
        ),
        sa.Column(
            "sep_arcsec",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Separation of the two positions, a known proper motion applied to the epoch of the source [arcsec] {pos.angDistance}",
        ),
        sa.Column(
            "log_bayes_factor",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Natural log of the Bayes factor of association against chance, from the positions {stat.likelihood}",
        ),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="State: running, done, failed or lost for a run; used, duplicate, conflict or unmapped for a label; single, linked or ambiguous for a source among the missions; accepted, ambiguous or rejected for a pair of sources {meta.code.status}",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why the row cannot be used {meta.note}"),
        sa.CheckConstraint("sep_arcsec >= 0 AND sep_arcsec < 'Infinity'", name=op.f("source_link_sep_arcsec_check")),
        sa.CheckConstraint("status IN ('accepted', 'ambiguous', 'rejected')", name=op.f("source_link_status_check")),
        sa.CheckConstraint("source_id < other_source_id", name=op.f("source_link_order_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", "other_source_id", name=op.f("source_link_pkey")),
        schema="xcat",
        comment="Every pair of sources of two missions that is close enough to be one, and what was made of it",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "calibration",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column(
            "part",
            sa.SmallInteger(),
            nullable=False,
            comment="Part of the sources by mission and density of the catalogue, from 1; 0 is all of them {meta.id}",
        ),
        sa.Column(
            "cutoff",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Smallest p_any that is accepted {stat.probability;stat.min}",
        ),
        sa.Column(
            "is_chosen",
            sa.Boolean(),
            nullable=False,
            comment="True for the cutoff that gives the wanted rate of false matches, which is in use {meta.code}",
        ),
        sa.Column(
            "n_sources",
            sa.Integer(),
            nullable=False,
            comment="Sources of single missions, or sources that were counted {meta.number}",
        ),
        sa.Column(
            "n_sources_above",
            sa.Integer(),
            nullable=False,
            comment="Sources with p_any at the cutoff or above {meta.number}",
        ),
        sa.Column("n_shifted", sa.Integer(), nullable=False, comment="Shifted positions {meta.number}"),
        sa.Column(
            "n_shifted_above",
            sa.Integer(),
            nullable=False,
            comment="Shifted positions with p_any at the cutoff or above {meta.number}",
        ),
        sa.Column(
            "false_rate",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Share of shifted positions that are accepted: the chance that a source without counterpart is given one {stat.probability}",
        ),
        sa.Column(
            "contamination",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Mean of 1 - p_any of the sources at the cutoff or above: the share of accepted sources that p_any says have none {stat.probability}",
        ),
        sa.Column(
            "density_low_per_deg2",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Smallest density of the part [1 / deg2] {src.density;stat.min}",
        ),
        sa.Column(
            "density_high_per_deg2",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Largest density of the part [1 / deg2] {src.density;stat.max}",
        ),
        sa.CheckConstraint("cutoff >= 0 AND cutoff <= 1", name=op.f("calibration_cutoff_check")),
        sa.CheckConstraint("false_rate >= 0 AND false_rate <= 1", name=op.f("calibration_false_rate_check")),
        sa.ForeignKeyConstraint(["run_id"], ["xcat.run.run_id"], name=op.f("calibration_run_id_fkey")),
        sa.PrimaryKeyConstraint("run_id", "catalogue_id", "part", "cutoff", "is_chosen", name=op.f("calibration_pkey")),
        schema="xcat",
        comment="False matches at shifted positions against p_any, by catalogue (0: all together) and part (0: all)",
    )
    op.create_table(
        "density_map",
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column("healpix", sa.Integer(), nullable=False, comment="HEALPix cell, nested, of order 10 {pos.healpix}"),
        sa.Column("n_objects", sa.Integer(), nullable=False, comment="Objects in the cell {meta.number}"),
        sa.CheckConstraint("n_objects > 0", name=op.f("density_map_n_objects_check")),
        sa.ForeignKeyConstraint(
            ["catalogue_id"], ["xcat.catalogue.catalogue_id"], name=op.f("density_map_catalogue_id_fkey")
        ),
        sa.PrimaryKeyConstraint("catalogue_id", "healpix", name=op.f("density_map_pkey")),
        schema="xcat",
        comment="Objects of a catalogue in every HEALPix cell that has any",
    )
    op.create_table(
        "field_offset",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column(
            "obs_id", sa.Text(collation="C"), nullable=False, comment="Identifier of the observation {meta.id;obs}"
        ),
        sa.Column("n_secure", sa.Integer(), nullable=False, comment="Secure counterparts that were used {meta.number}"),
        sa.Column(
            "offset_ra_arcsec",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Counterparts less X-ray positions, in right ascension times cos(dec) [arcsec] {pos.eq.ra;arith.diff}",
        ),
        sa.Column(
            "offset_dec_arcsec",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Counterparts less X-ray positions, in declination [arcsec] {pos.eq.dec;arith.diff}",
        ),
        sa.Column(
            "offset_err_arcsec",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="1 sigma error of each offset [arcsec] {stat.error;pos.eq}",
        ),
        sa.Column(
            "rotation_deg",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Rotation about the field's centre that brings the X-ray positions to the counterparts, east of north [deg] {pos.posAng}",
        ),
        sa.Column(
            "rotation_err_deg",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="1 sigma error of the rotation [deg] {stat.error;pos.posAng}",
        ),
        sa.ForeignKeyConstraint(["run_id"], ["xcat.run.run_id"], name=op.f("field_offset_run_id_fkey")),
        sa.PrimaryKeyConstraint("run_id", "catalogue_id", "obs_id", name=op.f("field_offset_pkey")),
        schema="xcat",
        comment="Offset and rotation of X-ray fields against their secure counterparts, where a match run fitted them",
    )
    op.create_table(
        "magnitude_prior",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column(
            "term",
            sa.Text(),
            nullable=False,
            comment="Magnitude or colour; of objects that other catalogues have too, with their names {meta.id}",
        ),
        sa.Column(
            "source_kind",
            sa.SmallInteger(),
            nullable=False,
            comment="Kind of source: part and positional error, from 1 {meta.id}",
        ),
        sa.Column(
            "part",
            sa.SmallInteger(),
            nullable=False,
            comment="Part of the sources by mission and density of the catalogue, from 1; 0 is all of them {meta.id}",
        ),
        sa.Column(
            "n_sources",
            sa.Integer(),
            nullable=False,
            comment="Sources of single missions, or sources that were counted {meta.number}",
        ),
        sa.Column(
            "bin_low", sa.DOUBLE_PRECISION(), nullable=False, comment="Lower edge of the bin [mag] {phot.mag;stat.min}"
        ),
        sa.Column(
            "bin_high", sa.DOUBLE_PRECISION(), nullable=False, comment="Upper edge of the bin [mag] {phot.mag;stat.max}"
        ),
        sa.Column(
            "density_counterparts",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Density of the values of counterparts [1 / mag] {stat.likelihood}",
        ),
        sa.Column(
            "density_field",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Density of the values of field objects, as found at shifted positions [1 / mag] {stat.likelihood}",
        ),
        sa.Column(
            "log_ratio",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Natural log of their smoothed ratio, which multiplies the odds of a candidate {stat.likelihood}",
        ),
        sa.ForeignKeyConstraint(["run_id"], ["xcat.run.run_id"], name=op.f("magnitude_prior_run_id_fkey")),
        sa.PrimaryKeyConstraint(
            "run_id", "catalogue_id", "term", "source_kind", "bin_low", name=op.f("magnitude_prior_pkey")
        ),
        schema="xcat",
        comment="Magnitudes and colours of counterparts against those of field objects, as a match run learned them",
    )
    op.create_table(
        "master_change",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "source_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
        ),
        sa.Column(
            "old_master_id",
            sa.BigInteger(),
            nullable=True,
            comment="Master source that the source was part of before; NULL for a new source {meta.id.assoc}",
        ),
        sa.Column(
            "new_master_id",
            sa.BigInteger(),
            nullable=True,
            comment="Master source that the source is part of now; NULL for one that has gone {meta.id.assoc}",
        ),
        sa.Column(
            "change",
            sa.Text(),
            nullable=False,
            comment="new: a source not met before; moved: to another master source; marked: linked, single or ambiguous now; gone: not in the sources any more {meta.code}",
        ),
        sa.CheckConstraint("change IN ('new', 'moved', 'marked', 'gone')", name=op.f("master_change_change_check")),
        sa.ForeignKeyConstraint(["run_id"], ["xcat.run.run_id"], name=op.f("master_change_run_id_fkey")),
        sa.PrimaryKeyConstraint("run_id", "source_id", name=op.f("master_change_pkey")),
        schema="xcat",
        comment="Every change of a source's membership in a master source from one link run to the next; append-only",
    )
    op.create_table(
        "master_identity",
        sa.Column(
            "master_id",
            sa.BigInteger(),
            sa.Identity(always=False),
            nullable=False,
            comment="xcat's number of the master source, one source across missions: the same in every run {meta.id;meta.main}",
        ),
        sa.Column(
            "first_run_id", sa.Integer(), nullable=False, comment="The run that met this source first {meta.id.assoc}"
        ),
        sa.ForeignKeyConstraint(["first_run_id"], ["xcat.run.run_id"], name=op.f("master_identity_first_run_id_fkey")),
        sa.PrimaryKeyConstraint("master_id", name=op.f("master_identity_pkey")),
        schema="xcat",
        comment="The number of every master source, given once and never again; append-only",
    )
    op.add_column(
        "detection",
        sa.Column(
            "flux_upper_cgs",
            sa.REAL(),
            nullable=True,
            comment="Upper limit of the flux in the mission's full band, 3 sigma, where the source was not detected [erg / (s cm2)] {phot.flux;em.X-ray;stat.max}",
        ),
        schema="xcat",
    )
    op.alter_column(
        "label",
        "status",
        existing_type=sa.TEXT(),
        comment="State: running, done, failed or lost for a run; used, duplicate, conflict or unmapped for a label; single, linked or ambiguous for a source among the missions; accepted, ambiguous or rejected for a pair of sources {meta.code.status}",
        existing_comment="State: running, done, failed or lost for a run; used, conflict or unmapped for a label {meta.code.status}",
        existing_nullable=False,
        schema="xcat",
    )
    op.add_column(
        "match",
        sa.Column(
            "accepted",
            sa.Boolean(),
            nullable=True,
            comment="p_any is above the cutoff for the wanted rate of false matches, so the best candidate counts as the counterpart {meta.code}",
        ),
        schema="xcat",
    )
    op.add_column(
        "property",
        sa.Column(
            "flux_ratio_sigma",
            sa.REAL(),
            nullable=True,
            comment="Significance of the difference between the largest and the smallest flux: (max F - min F) / sqrt(sigma^2 + sigma^2) over the detections of all missions, two at least, in 0.2-12 keV {stat.snr;src.var.amplitude;em.X-ray}",
        ),
        schema="xcat",
    )
    op.alter_column(
        "property",
        "log_flux_ratio",
        existing_type=sa.REAL(),
        comment="Log of the largest over the smallest flux: log10(max F / min F) over the detections of all missions, two at least, in 0.2-12 keV {src.var.amplitude;em.X-ray}",
        existing_comment="Log of the largest over the smallest flux: log10(max F / min F) over the detections, two at least {src.var.amplitude;em.X-ray}",
        existing_nullable=True,
        schema="xcat",
    )
    op.alter_column(
        "property",
        "log_flux_ratio_low",
        existing_type=sa.REAL(),
        comment="Log of the flux ratio that the errors leave: log10(max(F - sigma) / min(F + sigma, upper limits)) over the observations of all missions, two at least, in 0.2-12 keV; below 0 where the fluxes agree {src.var.amplitude;em.X-ray;stat.min}",
        existing_comment="Log of the flux ratio that the errors leave: log10(max(F - sigma) / min(F + sigma)) over the detections, two at least; below 0 where the fluxes agree {src.var.amplitude;em.X-ray;stat.min}",
        existing_nullable=True,
        schema="xcat",
    )
    op.add_column(
        "run",
        sa.Column(
            "link_run_id",
            sa.Integer(),
            nullable=True,
            comment="The link run whose master sources were read {meta.id.assoc}",
        ),
        schema="xcat",
    )
    op.alter_column(
        "run",
        "status",
        existing_type=sa.TEXT(),
        comment="State: running, done, failed or lost for a run; used, duplicate, conflict or unmapped for a label; single, linked or ambiguous for a source among the missions; accepted, ambiguous or rejected for a pair of sources {meta.code.status}",
        existing_comment="State: running, done, failed or lost for a run; used, conflict or unmapped for a label {meta.code.status}",
        existing_nullable=False,
        schema="xcat",
    )
    op.create_foreign_key(
        op.f("run_link_run_id_fkey"),
        "run",
        "run",
        ["link_run_id"],
        ["run_id"],
        source_schema="xcat",
        referent_schema="xcat",
    )
    op.add_column(
        "source",
        sa.Column(
            "err_maj_arcsec",
            sa.REAL(),
            nullable=True,
            comment="Semi-major axis of the error ellipse, 1 sigma [arcsec] {phys.angSize.smajAxis;pos.errorEllipse}",
        ),
        schema="xcat",
    )
    op.add_column(
        "source",
        sa.Column(
            "err_min_arcsec",
            sa.REAL(),
            nullable=True,
            comment="Semi-minor axis of the error ellipse, 1 sigma [arcsec] {phys.angSize.sminAxis;pos.errorEllipse}",
        ),
        schema="xcat",
    )
    op.add_column(
        "source",
        sa.Column(
            "err_pa_deg",
            sa.REAL(),
            nullable=True,
            comment="Position angle of the error ellipse, east of north [deg] {pos.posAng;pos.errorEllipse}",
        ),
        schema="xcat",
    )
    # rows of earlier runs: what was accepted then had p_any of a half at least
    op.execute("UPDATE xcat.match SET accepted = p_any >= 0.5")
    op.alter_column("match", "accepted", nullable=False, schema="xcat")
    op.create_check_constraint(op.f("source_ellipse_check"), "source", _ELLIPSE, schema="xcat")
    op.drop_constraint(op.f("run_kind_check"), "run", schema="xcat", type_="check")
    op.create_check_constraint(op.f("run_kind_check"), "run", _KINDS.format("'link', "), schema="xcat")


def downgrade() -> None:
    op.drop_column("source", "err_pa_deg", schema="xcat")
    op.drop_column("source", "err_min_arcsec", schema="xcat")
    op.drop_column("source", "err_maj_arcsec", schema="xcat")
    op.drop_constraint(op.f("run_link_run_id_fkey"), "run", schema="xcat", type_="foreignkey")
    op.alter_column(
        "run",
        "status",
        existing_type=sa.TEXT(),
        comment="State: running, done, failed or lost for a run; used, conflict or unmapped for a label {meta.code.status}",
        existing_comment="State: running, done, failed or lost for a run; used, duplicate, conflict or unmapped for a label; single, linked or ambiguous for a source among the missions; accepted, ambiguous or rejected for a pair of sources {meta.code.status}",
        existing_nullable=False,
        schema="xcat",
    )
    op.drop_column("run", "link_run_id", schema="xcat")
    op.alter_column(
        "property",
        "log_flux_ratio_low",
        existing_type=sa.REAL(),
        comment="Log of the flux ratio that the errors leave: log10(max(F - sigma) / min(F + sigma)) over the detections, two at least; below 0 where the fluxes agree {src.var.amplitude;em.X-ray;stat.min}",
        existing_comment="Log of the flux ratio that the errors leave: log10(max(F - sigma) / min(F + sigma, upper limits)) over the observations of all missions, two at least, in 0.2-12 keV; below 0 where the fluxes agree {src.var.amplitude;em.X-ray;stat.min}",
        existing_nullable=True,
        schema="xcat",
    )
    op.alter_column(
        "property",
        "log_flux_ratio",
        existing_type=sa.REAL(),
        comment="Log of the largest over the smallest flux: log10(max F / min F) over the detections, two at least {src.var.amplitude;em.X-ray}",
        existing_comment="Log of the largest over the smallest flux: log10(max F / min F) over the detections of all missions, two at least, in 0.2-12 keV {src.var.amplitude;em.X-ray}",
        existing_nullable=True,
        schema="xcat",
    )
    op.drop_column("property", "flux_ratio_sigma", schema="xcat")
    op.drop_column("match", "accepted", schema="xcat")
    op.alter_column(
        "label",
        "status",
        existing_type=sa.TEXT(),
        comment="State: running, done, failed or lost for a run; used, conflict or unmapped for a label {meta.code.status}",
        existing_comment="State: running, done, failed or lost for a run; used, duplicate, conflict or unmapped for a label; single, linked or ambiguous for a source among the missions; accepted, ambiguous or rejected for a pair of sources {meta.code.status}",
        existing_nullable=False,
        schema="xcat",
    )
    op.drop_column("detection", "flux_upper_cgs", schema="xcat")
    op.drop_table("master_identity", schema="xcat")
    op.drop_table("master_change", schema="xcat")
    op.drop_table("magnitude_prior", schema="xcat")
    op.drop_table("field_offset", schema="xcat")
    op.drop_table("density_map", schema="xcat")
    op.drop_table("calibration", schema="xcat")
    op.drop_table("source_link", schema="xcat")
    op.drop_index(op.f("master_source_master_id_idx"), table_name="master_source", schema="xcat")
    op.drop_table("master_source", schema="xcat")
    op.drop_index("master_q3c_idx", table_name="master", schema="xcat")
    op.drop_table("master", schema="xcat")
    op.drop_table("hypothesis_property", schema="xcat")
    op.drop_table("hypothesis", schema="xcat")
    op.execute("DELETE FROM xcat.run WHERE kind = 'link'")
    op.drop_constraint(op.f("run_kind_check"), "run", schema="xcat", type_="check")
    op.create_check_constraint(op.f("run_kind_check"), "run", _KINDS.format(""), schema="xcat")
