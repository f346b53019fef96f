"""schema.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS q3c SCHEMA public")
    op.execute("COMMENT ON TABLE xcat.alembic_version IS 'Revision of the schema'")
    op.execute("COMMENT ON COLUMN xcat.alembic_version.version_num IS 'Revision of the schema {meta.version}'")
    op.create_table(
        "catalogue",
        sa.Column(
            "catalogue_id",
            sa.SmallInteger(),
            sa.Identity(always=False),
            nullable=False,
            comment="The catalogue {meta.id;meta.dataset}",
        ),
        sa.Column("name", sa.Text(), nullable=False, comment="Name {meta.id;meta.main}"),
        sa.Column("kind", sa.Text(), nullable=False, comment="Kind of run or of catalogue {meta.code.class}"),
        sa.Column(
            "definition",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="The catalogue definition, as it was when the rows were loaded {meta.note;meta.file}",
        ),
        sa.Column(
            "definition_sha256",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the definition {meta.checksum}",
        ),
        sa.PrimaryKeyConstraint("catalogue_id", name=op.f("catalogue_pkey")),
        sa.UniqueConstraint("name", name=op.f("catalogue_name_key")),
        schema="xcat",
        comment="Catalogues that have been loaded, with the definition that was used",
    )
    op.create_table(
        "classification",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "source_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
        ),
        sa.Column(
            "class_id",
            sa.SmallInteger(),
            nullable=False,
            comment="Most probable class, its position in the model's list of classes, from 1 {src.class}",
        ),
        sa.Column(
            "p",
            postgresql.ARRAY(sa.REAL()),
            nullable=False,
            comment="Posterior probability of each class, in the order of the model's classes {stat.probability}",
        ),
        sa.Column(
            "margin",
            sa.REAL(),
            nullable=False,
            comment="Most probable minus second most probable class {stat.probability}",
        ),
        sa.Column(
            "outlier",
            sa.REAL(),
            nullable=False,
            comment="Outlier measure: decades by which the source is less likely than the most typical member of its best class {stat.likelihood}",
        ),
        sa.Column(
            "is_outlier",
            sa.Boolean(),
            nullable=False,
            comment="The outlier measure is above the model's limit {meta.code}",
        ),
        sa.Column(
            "n_missing",
            sa.SmallInteger(),
            nullable=False,
            comment="Properties that are missing {meta.number}",
        ),
        sa.Column(
            "class_without",
            postgresql.ARRAY(sa.SmallInteger()),
            nullable=False,
            comment="Most probable class when a category is dropped, one entry a category {src.class}",
        ),
        sa.Column(
            "in_test_sample",
            sa.Boolean(),
            nullable=False,
            comment="At least two of: optical counterpart, infrared counterpart, spectrum or S/N > 10, several detections {meta.code}",
        ),
        sa.Column(
            "evidence",
            postgresql.ARRAY(sa.REAL()),
            nullable=False,
            comment="Natural-log likelihood term of every property and class, property by property {stat.likelihood}",
        ),
        sa.CheckConstraint(
            "0 <= ALL (p) AND 1 >= ALL (p) AND array_position(p, NULL) IS NULL", name=op.f("classification_p_check")
        ),
        sa.CheckConstraint("margin >= 0 AND margin <= 1", name=op.f("classification_margin_check")),
        sa.CheckConstraint("outlier >= 0 AND outlier < 'Infinity'", name=op.f("classification_outlier_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", name=op.f("classification_pkey")),
        schema="xcat",
        comment="The class of every source, with the evidence",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "counterpart",
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column(
            "object_id",
            sa.BigInteger(),
            nullable=False,
            comment="Number of the row inside its catalogue {meta.id}",
        ),
        sa.Column(
            "file_id",
            sa.Integer(),
            nullable=False,
            comment="The file that the row came from {meta.id;meta.file}",
        ),
        sa.Column(
            "native_id",
            sa.Text(collation="C"),
            nullable=False,
            comment="Identifier that the catalogue gives to the row {meta.id}",
        ),
        sa.Column(
            "ra",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Right ascension, ICRS [deg] {pos.eq.ra;meta.main}",
        ),
        sa.Column(
            "dec",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Declination, ICRS [deg] {pos.eq.dec;meta.main}",
        ),
        sa.Column(
            "err_arcsec",
            sa.REAL(),
            nullable=False,
            comment="Positional error, 1 sigma per axis (of an ellipse: the geometric mean) [arcsec] {stat.error;pos.eq}",
        ),
        sa.Column(
            "err_maj_arcsec",
            sa.REAL(),
            nullable=True,
            comment="Semi-major axis of the error ellipse, 1 sigma [arcsec] {phys.angSize.smajAxis;pos.errorEllipse}",
        ),
        sa.Column(
            "err_min_arcsec",
            sa.REAL(),
            nullable=True,
            comment="Semi-minor axis of the error ellipse, 1 sigma [arcsec] {phys.angSize.sminAxis;pos.errorEllipse}",
        ),
        sa.Column(
            "err_pa_deg",
            sa.REAL(),
            nullable=True,
            comment="Position angle of the error ellipse, east of north [deg] {pos.posAng;pos.errorEllipse}",
        ),
        sa.Column(
            "epoch_yr",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Epoch of the position, Julian year [yr] {time.epoch}",
        ),
        sa.Column(
            "pmra_mas_yr",
            sa.REAL(),
            nullable=True,
            comment="Proper motion in right ascension, cos(dec) included [mas / yr] {pos.pm;pos.eq.ra}",
        ),
        sa.Column(
            "pmdec_mas_yr",
            sa.REAL(),
            nullable=True,
            comment="Proper motion in declination [mas / yr] {pos.pm;pos.eq.dec}",
        ),
        sa.Column("parallax_mas", sa.REAL(), nullable=True, comment="Parallax [mas] {pos.parallax.trig}"),
        sa.Column(
            "parallax_err_mas",
            sa.REAL(),
            nullable=True,
            comment="1 sigma error of the parallax [mas] {stat.error;pos.parallax.trig}",
        ),
        sa.Column("distance_pc", sa.REAL(), nullable=True, comment="Distance [pc] {pos.distance}"),
        sa.Column(
            "mag",
            sa.REAL(),
            nullable=True,
            comment="Magnitude of a catalogue with one unnamed band [mag] {phot.mag}",
        ),
        sa.Column("mag_gaia_g", sa.REAL(), nullable=True, comment="Gaia G magnitude, Vega [mag] {phot.mag;em.opt}"),
        sa.Column(
            "mag_gaia_bp",
            sa.REAL(),
            nullable=True,
            comment="Gaia BP magnitude, Vega [mag] {phot.mag;em.opt.B}",
        ),
        sa.Column(
            "mag_gaia_rp",
            sa.REAL(),
            nullable=True,
            comment="Gaia RP magnitude, Vega [mag] {phot.mag;em.opt.R}",
        ),
        sa.Column("mag_g", sa.REAL(), nullable=True, comment="g magnitude, AB [mag] {phot.mag;em.opt.B}"),
        sa.Column("mag_r", sa.REAL(), nullable=True, comment="r magnitude, AB [mag] {phot.mag;em.opt.R}"),
        sa.Column("mag_i", sa.REAL(), nullable=True, comment="i magnitude, AB [mag] {phot.mag;em.opt.I}"),
        sa.Column("mag_z", sa.REAL(), nullable=True, comment="z magnitude, AB [mag] {phot.mag;em.opt.I}"),
        sa.Column("mag_y", sa.REAL(), nullable=True, comment="y magnitude, AB [mag] {phot.mag;em.IR.J}"),
        sa.Column("mag_j", sa.REAL(), nullable=True, comment="J magnitude, Vega [mag] {phot.mag;em.IR.J}"),
        sa.Column("mag_h", sa.REAL(), nullable=True, comment="H magnitude, Vega [mag] {phot.mag;em.IR.H}"),
        sa.Column("mag_k", sa.REAL(), nullable=True, comment="Ks magnitude, Vega [mag] {phot.mag;em.IR.K}"),
        sa.Column("mag_w1", sa.REAL(), nullable=True, comment="W1 magnitude, Vega [mag] {phot.mag;em.IR.3-4um}"),
        sa.Column("mag_w2", sa.REAL(), nullable=True, comment="W2 magnitude, Vega [mag] {phot.mag;em.IR.4-8um}"),
        sa.Column(
            "mag_ch1",
            sa.REAL(),
            nullable=True,
            comment="IRAC channel 1 magnitude, AB [mag] {phot.mag;em.IR.3-4um}",
        ),
        sa.CheckConstraint("dec >= -90 AND dec <= 90", name=op.f("counterpart_dec_check")),
        sa.CheckConstraint("err_arcsec > 0 AND err_arcsec < 3600", name=op.f("counterpart_err_arcsec_check")),
        sa.CheckConstraint(
            "err_maj_arcsec IS NULL OR err_min_arcsec > 0 AND err_maj_arcsec >= err_min_arcsec AND err_maj_arcsec < 3600",
            name=op.f("counterpart_ellipse_check"),
        ),
        sa.CheckConstraint("ra >= 0 AND ra < 360", name=op.f("counterpart_ra_check")),
        sa.PrimaryKeyConstraint("catalogue_id", "object_id", name=op.f("counterpart_pkey")),
        sa.UniqueConstraint("catalogue_id", "native_id", name=op.f("counterpart_catalogue_id_native_id_key")),
        schema="xcat",
        comment="Optical and infrared objects, as ingested",
        postgresql_partition_by="LIST (catalogue_id)",
    )
    op.create_index(
        "counterpart_q3c_idx",
        "counterpart",
        [sa.literal_column("public.q3c_ang2ipix(ra, dec)")],
        unique=False,
        schema="xcat",
    )
    op.create_table(
        "detection",
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column(
            "object_id",
            sa.BigInteger(),
            nullable=False,
            comment="Number of the row inside its catalogue {meta.id}",
        ),
        sa.Column(
            "file_id",
            sa.Integer(),
            nullable=False,
            comment="The file that the row came from {meta.id;meta.file}",
        ),
        sa.Column(
            "native_id",
            sa.Text(collation="C"),
            nullable=False,
            comment="Identifier that the catalogue gives to the row {meta.id}",
        ),
        sa.Column(
            "source_native_id",
            sa.Text(collation="C"),
            nullable=True,
            comment="Identifier that the mission gives to the source of this detection {meta.id.parent}",
        ),
        sa.Column(
            "obs_id",
            sa.Text(collation="C"),
            nullable=True,
            comment="Identifier of the observation {meta.id;obs}",
        ),
        sa.Column(
            "ra",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Right ascension, ICRS [deg] {pos.eq.ra;meta.main}",
        ),
        sa.Column(
            "dec",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Declination, ICRS [deg] {pos.eq.dec;meta.main}",
        ),
        sa.Column(
            "err_arcsec",
            sa.REAL(),
            nullable=False,
            comment="Positional error, 1 sigma per axis (of an ellipse: the geometric mean) [arcsec] {stat.error;pos.eq}",
        ),
        sa.Column(
            "err_maj_arcsec",
            sa.REAL(),
            nullable=True,
            comment="Semi-major axis of the error ellipse, 1 sigma [arcsec] {phys.angSize.smajAxis;pos.errorEllipse}",
        ),
        sa.Column(
            "err_min_arcsec",
            sa.REAL(),
            nullable=True,
            comment="Semi-minor axis of the error ellipse, 1 sigma [arcsec] {phys.angSize.sminAxis;pos.errorEllipse}",
        ),
        sa.Column(
            "err_pa_deg",
            sa.REAL(),
            nullable=True,
            comment="Position angle of the error ellipse, east of north [deg] {pos.posAng;pos.errorEllipse}",
        ),
        sa.Column(
            "epoch_yr",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Epoch of the position, Julian year [yr] {time.epoch}",
        ),
        sa.Column(
            "mjd",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Start of the observation, modified Julian date [d] {time.start;obs}",
        ),
        sa.Column("exposure_s", sa.REAL(), nullable=True, comment="Exposure time [s] {time.duration;obs.exposure}"),
        sa.Column(
            "flux_cgs",
            sa.REAL(),
            nullable=True,
            comment="Flux in the mission's full band (see its definition) [erg / (s cm2)] {phot.flux;em.X-ray}",
        ),
        sa.Column(
            "flux_err_cgs",
            sa.REAL(),
            nullable=True,
            comment="1 sigma error of the flux [erg / (s cm2)] {stat.error;phot.flux;em.X-ray}",
        ),
        sa.Column(
            "flux_soft_cgs",
            sa.REAL(),
            nullable=True,
            comment="Flux in the mission's soft band [erg / (s cm2)] {phot.flux;em.X-ray.soft}",
        ),
        sa.Column(
            "flux_soft_err_cgs",
            sa.REAL(),
            nullable=True,
            comment="1 sigma error of the soft flux [erg / (s cm2)] {stat.error;phot.flux;em.X-ray.soft}",
        ),
        sa.Column(
            "flux_medium_cgs",
            sa.REAL(),
            nullable=True,
            comment="Flux in the mission's medium band [erg / (s cm2)] {phot.flux;em.X-ray.medium}",
        ),
        sa.Column(
            "flux_medium_err_cgs",
            sa.REAL(),
            nullable=True,
            comment="1 sigma error of the medium flux [erg / (s cm2)] {stat.error;phot.flux;em.X-ray.medium}",
        ),
        sa.Column(
            "flux_hard_cgs",
            sa.REAL(),
            nullable=True,
            comment="Flux in the mission's hard band [erg / (s cm2)] {phot.flux;em.X-ray.hard}",
        ),
        sa.Column(
            "flux_hard_err_cgs",
            sa.REAL(),
            nullable=True,
            comment="1 sigma error of the hard flux [erg / (s cm2)] {stat.error;phot.flux;em.X-ray.hard}",
        ),
        sa.Column(
            "hr1",
            sa.REAL(),
            nullable=True,
            comment="Hardness ratio of the medium to the soft band: (medium - soft) / (medium + soft), as the mission gives it, else from the band fluxes {phot.color;em.X-ray}",
        ),
        sa.Column(
            "hr1_err",
            sa.REAL(),
            nullable=True,
            comment="1 sigma error of hr1 {stat.error;phot.color;em.X-ray}",
        ),
        sa.Column(
            "hr2",
            sa.REAL(),
            nullable=True,
            comment="Hardness ratio of the hard to the medium band: (hard - medium) / (hard + medium), as the mission gives it, else from the band fluxes {phot.color;em.X-ray}",
        ),
        sa.Column(
            "hr2_err",
            sa.REAL(),
            nullable=True,
            comment="1 sigma error of hr2 {stat.error;phot.color;em.X-ray}",
        ),
        sa.Column(
            "gamma",
            sa.REAL(),
            nullable=True,
            comment="Photon index of an absorbed power law: photon index of the mission's absorbed power-law fit {spect.index;em.X-ray}",
        ),
        sa.Column(
            "snr",
            sa.REAL(),
            nullable=True,
            comment="Signal-to-noise ratio of the detection (of a source: the best of its detections) {stat.snr;em.X-ray}",
        ),
        sa.Column(
            "det_likelihood",
            sa.REAL(),
            nullable=True,
            comment="Detection likelihood as the mission gives it {stat.likelihood;em.X-ray}",
        ),
        sa.Column(
            "p_variable",
            sa.REAL(),
            nullable=True,
            comment="Probability that the source varied within an observation: largest probability of variability within one observation {stat.probability;src.var;em.X-ray}",
        ),
        sa.Column(
            "extent_arcsec",
            sa.REAL(),
            nullable=True,
            comment="Extent of the X-ray source, 0 if point-like [arcsec] {phys.angSize;em.X-ray}",
        ),
        sa.Column(
            "quality_flag",
            sa.Integer(),
            nullable=True,
            comment="Quality as the mission flags it, 0 = clean (of a source: the bits of all its detections) {meta.code.qual}",
        ),
        sa.Column("n_detections", sa.Integer(), nullable=True, comment="Number of detections {meta.number;obs}"),
        sa.CheckConstraint("dec >= -90 AND dec <= 90", name=op.f("detection_dec_check")),
        sa.CheckConstraint("err_arcsec > 0 AND err_arcsec < 3600", name=op.f("detection_err_arcsec_check")),
        sa.CheckConstraint(
            "err_maj_arcsec IS NULL OR err_min_arcsec > 0 AND err_maj_arcsec >= err_min_arcsec AND err_maj_arcsec < 3600",
            name=op.f("detection_ellipse_check"),
        ),
        sa.CheckConstraint("p_variable >= 0 AND p_variable <= 1", name=op.f("detection_p_variable_check")),
        sa.CheckConstraint("ra >= 0 AND ra < 360", name=op.f("detection_ra_check")),
        sa.PrimaryKeyConstraint("catalogue_id", "object_id", name=op.f("detection_pkey")),
        sa.UniqueConstraint("catalogue_id", "native_id", name=op.f("detection_catalogue_id_native_id_key")),
        schema="xcat",
        comment="X-ray detections, and sources of catalogues that list sources only, as ingested",
        postgresql_partition_by="LIST (catalogue_id)",
    )
    op.create_index(
        "detection_q3c_idx",
        "detection",
        [sa.literal_column("public.q3c_ang2ipix(ra, dec)")],
        unique=False,
        schema="xcat",
    )
    op.create_table(
        "galaxy",
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column(
            "object_id",
            sa.BigInteger(),
            nullable=False,
            comment="Number of the row inside its catalogue {meta.id}",
        ),
        sa.Column(
            "file_id",
            sa.Integer(),
            nullable=False,
            comment="The file that the row came from {meta.id;meta.file}",
        ),
        sa.Column(
            "native_id",
            sa.Text(collation="C"),
            nullable=False,
            comment="Identifier that the catalogue gives to the row {meta.id}",
        ),
        sa.Column(
            "ra",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Right ascension, ICRS [deg] {pos.eq.ra;meta.main}",
        ),
        sa.Column(
            "dec",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Declination, ICRS [deg] {pos.eq.dec;meta.main}",
        ),
        sa.Column("distance_mpc", sa.REAL(), nullable=True, comment="Distance of the galaxy [Mpc] {pos.distance}"),
        sa.Column(
            "d25_arcmin",
            sa.REAL(),
            nullable=True,
            comment="Major diameter of the isophote of 25 mag/arcsec2 [arcmin] {phys.angSize;src}",
        ),
        sa.Column("axis_ratio", sa.REAL(), nullable=True, comment="Minor over major axis {phys.angSize;arith.ratio}"),
        sa.Column(
            "pa_deg",
            sa.REAL(),
            nullable=True,
            comment="Position angle of the major axis, east of north [deg] {pos.posAng}",
        ),
        sa.CheckConstraint("axis_ratio > 0 AND axis_ratio <= 1", name=op.f("galaxy_axis_ratio_check")),
        sa.CheckConstraint("d25_arcmin >= 0 AND d25_arcmin < 1200", name=op.f("galaxy_d25_arcmin_check")),
        sa.CheckConstraint("dec >= -90 AND dec <= 90", name=op.f("galaxy_dec_check")),
        sa.CheckConstraint("ra >= 0 AND ra < 360", name=op.f("galaxy_ra_check")),
        sa.PrimaryKeyConstraint("catalogue_id", "object_id", name=op.f("galaxy_pkey")),
        sa.UniqueConstraint("catalogue_id", "native_id", name=op.f("galaxy_catalogue_id_native_id_key")),
        schema="xcat",
        comment="Galaxies with their isophotal ellipse and distance, as ingested",
        postgresql_partition_by="LIST (catalogue_id)",
    )
    op.create_index(
        "galaxy_q3c_idx",
        "galaxy",
        [sa.literal_column("public.q3c_ang2ipix(ra, dec)")],
        unique=False,
        schema="xcat",
    )
    op.create_table(
        "label",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "source_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
        ),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column(
            "object_id",
            sa.BigInteger(),
            nullable=False,
            comment="Number of the row inside its catalogue {meta.id}",
        ),
        sa.Column("class", sa.Text(), nullable=True, comment="Class {src.class}"),
        sa.Column(
            "class_native",
            sa.Text(),
            nullable=True,
            comment="Class as the reference catalogue writes it {src.class}",
        ),
        sa.Column(
            "origin",
            sa.Text(),
            nullable=False,
            comment="Reference catalogue that the label comes from {meta.ref}",
        ),
        sa.Column(
            "sep_arcsec",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Separation of the two positions, a known proper motion applied to the epoch of the source [arcsec] {pos.angDistance}",
        ),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="State: running, done, failed or lost for a run; used, conflict or unmapped for a label {meta.code.status}",
        ),
        sa.CheckConstraint("status IN ('used', 'duplicate', 'conflict', 'unmapped')", name=op.f("label_status_check")),
        sa.CheckConstraint("sep_arcsec >= 0 AND sep_arcsec < 'Infinity'", name=op.f("label_sep_arcsec_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", "catalogue_id", "object_id", name=op.f("label_pkey")),
        schema="xcat",
        comment="Sources found in reference catalogues: one row a source and reference object, conflicts kept",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "match",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "source_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
        ),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column(
            "n_candidates",
            sa.Integer(),
            nullable=False,
            comment="Candidates within the search radius {meta.number}",
        ),
        sa.Column(
            "density_per_deg2",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Density of catalogue objects that the prior used [1 / deg2] {src.density}",
        ),
        sa.Column(
            "completeness",
            sa.REAL(),
            nullable=False,
            comment="Prior probability that a source has a counterpart in the catalogue {stat.fit.param}",
        ),
        sa.Column(
            "p_any",
            sa.REAL(),
            nullable=False,
            comment="Probability that the source has a counterpart in this catalogue {stat.probability}",
        ),
        sa.CheckConstraint("completeness >= 0 AND completeness <= 1", name=op.f("match_completeness_check")),
        sa.CheckConstraint(
            "density_per_deg2 >= 0 AND density_per_deg2 < 'Infinity'", name=op.f("match_density_per_deg2_check")
        ),
        sa.CheckConstraint("p_any >= 0 AND p_any <= 1", name=op.f("match_p_any_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", "catalogue_id", name=op.f("match_pkey")),
        schema="xcat",
        comment="Whether a source has a counterpart in a catalogue",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "match_candidate",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "source_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
        ),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column(
            "object_id",
            sa.BigInteger(),
            nullable=False,
            comment="Number of the row inside its catalogue {meta.id}",
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
            "p_i",
            sa.REAL(),
            nullable=False,
            comment="Probability that this candidate is the counterpart, given that there is one {stat.probability}",
        ),
        sa.Column(
            "is_best",
            sa.Boolean(),
            nullable=False,
            comment="True for the most probable candidate of the source in this catalogue {meta.code}",
        ),
        sa.CheckConstraint("p_i >= 0 AND p_i <= 1", name=op.f("match_candidate_p_i_check")),
        sa.CheckConstraint(
            "sep_arcsec >= 0 AND sep_arcsec < 'Infinity'", name=op.f("match_candidate_sep_arcsec_check")
        ),
        sa.PrimaryKeyConstraint("run_id", "source_id", "catalogue_id", "object_id", name=op.f("match_candidate_pkey")),
        schema="xcat",
        comment="Every catalogue object within the search radius of a source",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "out_of_fold",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "source_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
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
        sa.Column(
            "outlier",
            sa.REAL(),
            nullable=False,
            comment="Outlier measure: decades by which the source is less likely than the most typical member of its best class {stat.likelihood}",
        ),
        sa.CheckConstraint(
            "0 <= ALL (p) AND 1 >= ALL (p) AND array_position(p, NULL) IS NULL", name=op.f("out_of_fold_p_check")
        ),
        sa.CheckConstraint("outlier >= 0 AND outlier < 'Infinity'", name=op.f("out_of_fold_outlier_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", name=op.f("out_of_fold_pkey")),
        schema="xcat",
        comment="Posterior of each labelled source from tables that were fitted without it",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "property",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "source_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
        ),
        sa.Column(
            "abs_b",
            sa.REAL(),
            nullable=True,
            comment="Absolute galactic latitude: |b| [deg] {pos.galactic.lat}",
        ),
        sa.Column(
            "pm_mas_yr",
            sa.REAL(),
            nullable=True,
            comment="Total proper motion of the optical counterpart: sqrt(pmra_mas_yr^2 + pmdec_mas_yr^2) of the optical counterpart [mas / yr] {pos.pm}",
        ),
        sa.Column(
            "sep_to_radius",
            sa.REAL(),
            nullable=True,
            comment="Distance to the centre of the nearest galaxy in units of its D25 radius in that direction: separation from the galaxy's centre / radius of its D25 ellipse in that direction, within 1.26 radii {pos.angDistance;arith.ratio}",
        ),
        sa.Column(
            "hr1",
            sa.REAL(),
            nullable=True,
            comment="Hardness ratio of the medium to the soft band: (medium - soft) / (medium + soft), as the mission gives it, else from the band fluxes {phot.color;em.X-ray}",
        ),
        sa.Column(
            "hr2",
            sa.REAL(),
            nullable=True,
            comment="Hardness ratio of the hard to the medium band: (hard - medium) / (hard + medium), as the mission gives it, else from the band fluxes {phot.color;em.X-ray}",
        ),
        sa.Column(
            "gamma",
            sa.REAL(),
            nullable=True,
            comment="Photon index of an absorbed power law: photon index of the mission's absorbed power-law fit {spect.index;em.X-ray}",
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
        sa.Column(
            "log_flux_ratio",
            sa.REAL(),
            nullable=True,
            comment="Log of the largest over the smallest flux: log10(max F / min F) over the detections, two at least {src.var.amplitude;em.X-ray}",
        ),
        sa.Column(
            "log_flux_ratio_low",
            sa.REAL(),
            nullable=True,
            comment="Log of the flux ratio that the errors leave: log10(max(F - sigma) / min(F + sigma)) over the detections, two at least; below 0 where the fluxes agree {src.var.amplitude;em.X-ray;stat.min}",
        ),
        sa.Column(
            "p_variable",
            sa.REAL(),
            nullable=True,
            comment="Probability that the source varied within an observation: largest probability of variability within one observation {stat.probability;src.var;em.X-ray}",
        ),
        sa.Column(
            "has_optical",
            sa.Boolean(),
            nullable=False,
            comment="The source has an accepted optical counterpart {meta.code}",
        ),
        sa.Column(
            "has_infrared",
            sa.Boolean(),
            nullable=False,
            comment="The source has an accepted infrared counterpart {meta.code}",
        ),
        sa.Column(
            "has_spectrum",
            sa.Boolean(),
            nullable=False,
            comment="The source has a fitted spectrum or S/N > 10 {meta.code}",
        ),
        sa.Column("n_detections", sa.Integer(), nullable=False, comment="Number of detections {meta.number;obs}"),
        sa.Column(
            "in_test_sample",
            sa.Boolean(),
            nullable=False,
            comment="At least two of: optical counterpart, infrared counterpart, spectrum or S/N > 10, several detections {meta.code}",
        ),
        sa.PrimaryKeyConstraint("run_id", "source_id", name=op.f("property_pkey")),
        schema="xcat",
        comment="The properties of the method, one row a source; missing is NULL",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "reference_object",
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column(
            "object_id",
            sa.BigInteger(),
            nullable=False,
            comment="Number of the row inside its catalogue {meta.id}",
        ),
        sa.Column(
            "file_id",
            sa.Integer(),
            nullable=False,
            comment="The file that the row came from {meta.id;meta.file}",
        ),
        sa.Column(
            "native_id",
            sa.Text(collation="C"),
            nullable=False,
            comment="Identifier that the catalogue gives to the row {meta.id}",
        ),
        sa.Column("name", sa.Text(), nullable=True, comment="Name {meta.id;meta.main}"),
        sa.Column(
            "ra",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Right ascension, ICRS [deg] {pos.eq.ra;meta.main}",
        ),
        sa.Column(
            "dec",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Declination, ICRS [deg] {pos.eq.dec;meta.main}",
        ),
        sa.Column(
            "err_arcsec",
            sa.REAL(),
            nullable=False,
            comment="Positional error, 1 sigma per axis (of an ellipse: the geometric mean) [arcsec] {stat.error;pos.eq}",
        ),
        sa.Column("class", sa.Text(), nullable=True, comment="Class {src.class}"),
        sa.Column(
            "class_native",
            sa.Text(),
            nullable=True,
            comment="Class as the reference catalogue writes it {src.class}",
        ),
        sa.CheckConstraint("dec >= -90 AND dec <= 90", name=op.f("reference_object_dec_check")),
        sa.CheckConstraint("err_arcsec > 0 AND err_arcsec < 3600", name=op.f("reference_object_err_arcsec_check")),
        sa.CheckConstraint("ra >= 0 AND ra < 360", name=op.f("reference_object_ra_check")),
        sa.PrimaryKeyConstraint("catalogue_id", "object_id", name=op.f("reference_object_pkey")),
        sa.UniqueConstraint("catalogue_id", "native_id", name=op.f("reference_object_catalogue_id_native_id_key")),
        schema="xcat",
        comment="Objects of known class from the literature, as ingested",
        postgresql_partition_by="LIST (catalogue_id)",
    )
    op.create_index(
        "reference_object_q3c_idx",
        "reference_object",
        [sa.literal_column("public.q3c_ang2ipix(ra, dec)")],
        unique=False,
        schema="xcat",
    )
    op.create_table(
        "run",
        sa.Column(
            "run_id",
            sa.Integer(),
            sa.Identity(always=False),
            nullable=False,
            comment="The run that wrote this row {meta.id;meta.main}",
        ),
        sa.Column("kind", sa.Text(), nullable=False, comment="Kind of run or of catalogue {meta.code.class}"),
        sa.Column("name", sa.Text(), nullable=False, comment="Name {meta.id;meta.main}"),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="State: running, done, failed or lost for a run; used, conflict or unmapped for a label {meta.code.status}",
        ),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it started {time.start}",
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True, comment="When it ended {time.end}"),
        sa.Column(
            "config",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="The configuration, frozen as it was used {meta.note;meta.file}",
        ),
        sa.Column(
            "config_key",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the configuration and of the runs and files it reads: equal keys mean equal results {meta.id}",
        ),
        sa.Column(
            "versions",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Versions of xcat, of its libraries, of PostgreSQL and q3c {meta.version}",
        ),
        sa.Column(
            "inputs",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="What the run read: files with checksum and row counts, catalogues, runs {meta.ref}",
        ),
        sa.Column(
            "summary",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="What the run counted and how long each step took {meta.note}",
        ),
        sa.Column("error", sa.Text(), nullable=True, comment="Why the run failed {meta.note}"),
        sa.Column(
            "pipeline_run_id",
            sa.Integer(),
            nullable=True,
            comment="The pipeline run that this run is a stage of {meta.id.parent}",
        ),
        sa.Column(
            "source_run_id",
            sa.Integer(),
            nullable=True,
            comment="The merge run whose sources were read {meta.id.assoc}",
        ),
        sa.Column(
            "match_run_id",
            sa.Integer(),
            nullable=True,
            comment="The match run whose counterparts were read {meta.id.assoc}",
        ),
        sa.Column(
            "property_run_id",
            sa.Integer(),
            nullable=True,
            comment="The properties run that was read {meta.id.assoc}",
        ),
        sa.Column("label_run_id", sa.Integer(), nullable=True, comment="The label run that was read {meta.id.assoc}"),
        sa.Column(
            "model_run_id",
            sa.Integer(),
            nullable=True,
            comment="The fit run whose likelihood tables were used {meta.id.assoc}",
        ),
        sa.CheckConstraint("(status = 'running') = (ended_at IS NULL)", name=op.f("run_ended_at_check")),
        sa.CheckConstraint(
            "kind IN ('pipeline', 'ingest', 'merge', 'match', 'properties', 'label', 'fit', 'classify', 'publish')",
            name=op.f("run_kind_check"),
        ),
        sa.CheckConstraint("status IN ('running', 'done', 'failed', 'lost')", name=op.f("run_status_check")),
        sa.ForeignKeyConstraint(["label_run_id"], ["xcat.run.run_id"], name=op.f("run_label_run_id_fkey")),
        sa.ForeignKeyConstraint(["match_run_id"], ["xcat.run.run_id"], name=op.f("run_match_run_id_fkey")),
        sa.ForeignKeyConstraint(["model_run_id"], ["xcat.run.run_id"], name=op.f("run_model_run_id_fkey")),
        sa.ForeignKeyConstraint(["pipeline_run_id"], ["xcat.run.run_id"], name=op.f("run_pipeline_run_id_fkey")),
        sa.ForeignKeyConstraint(["property_run_id"], ["xcat.run.run_id"], name=op.f("run_property_run_id_fkey")),
        sa.ForeignKeyConstraint(["source_run_id"], ["xcat.run.run_id"], name=op.f("run_source_run_id_fkey")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("run_pkey")),
        schema="xcat",
        comment="Every stage that ran: configuration, versions, inputs, outcome",
    )
    op.create_index(op.f("run_config_key_idx"), "run", ["config_key"], unique=False, schema="xcat")
    op.create_table(
        "source",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "source_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
        ),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column("name", sa.Text(), nullable=False, comment="Name {meta.id;meta.main}"),
        sa.Column(
            "ra",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Right ascension, ICRS [deg] {pos.eq.ra;meta.main}",
        ),
        sa.Column(
            "dec",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Declination, ICRS [deg] {pos.eq.dec;meta.main}",
        ),
        sa.Column(
            "err_arcsec",
            sa.REAL(),
            nullable=False,
            comment="Positional error, 1 sigma per axis (of an ellipse: the geometric mean) [arcsec] {stat.error;pos.eq}",
        ),
        sa.Column(
            "glon",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Galactic longitude [deg] {pos.galactic.lon}",
        ),
        sa.Column(
            "glat",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Galactic latitude [deg] {pos.galactic.lat}",
        ),
        sa.Column(
            "epoch_yr",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Epoch of the position, Julian year [yr] {time.epoch}",
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
        sa.Column("n_detections", sa.Integer(), nullable=False, comment="Number of detections {meta.number;obs}"),
        sa.Column(
            "flux_cgs",
            sa.REAL(),
            nullable=True,
            comment="Flux in the mission's full band (see its definition) [erg / (s cm2)] {phot.flux;em.X-ray}",
        ),
        sa.Column(
            "flux_err_cgs",
            sa.REAL(),
            nullable=True,
            comment="1 sigma error of the flux [erg / (s cm2)] {stat.error;phot.flux;em.X-ray}",
        ),
        sa.Column(
            "flux_soft_cgs",
            sa.REAL(),
            nullable=True,
            comment="Flux in the mission's soft band [erg / (s cm2)] {phot.flux;em.X-ray.soft}",
        ),
        sa.Column(
            "flux_soft_err_cgs",
            sa.REAL(),
            nullable=True,
            comment="1 sigma error of the soft flux [erg / (s cm2)] {stat.error;phot.flux;em.X-ray.soft}",
        ),
        sa.Column(
            "flux_medium_cgs",
            sa.REAL(),
            nullable=True,
            comment="Flux in the mission's medium band [erg / (s cm2)] {phot.flux;em.X-ray.medium}",
        ),
        sa.Column(
            "flux_medium_err_cgs",
            sa.REAL(),
            nullable=True,
            comment="1 sigma error of the medium flux [erg / (s cm2)] {stat.error;phot.flux;em.X-ray.medium}",
        ),
        sa.Column(
            "flux_hard_cgs",
            sa.REAL(),
            nullable=True,
            comment="Flux in the mission's hard band [erg / (s cm2)] {phot.flux;em.X-ray.hard}",
        ),
        sa.Column(
            "flux_hard_err_cgs",
            sa.REAL(),
            nullable=True,
            comment="1 sigma error of the hard flux [erg / (s cm2)] {stat.error;phot.flux;em.X-ray.hard}",
        ),
        sa.Column(
            "flux_std_cgs",
            sa.REAL(),
            nullable=True,
            comment="Flux brought to 0.2-12 keV with an unabsorbed power law of photon index 1.7 [erg / (s cm2)] {phot.flux;em.X-ray}",
        ),
        sa.Column(
            "hr1",
            sa.REAL(),
            nullable=True,
            comment="Hardness ratio of the medium to the soft band: (medium - soft) / (medium + soft), as the mission gives it, else from the band fluxes {phot.color;em.X-ray}",
        ),
        sa.Column(
            "hr1_err",
            sa.REAL(),
            nullable=True,
            comment="1 sigma error of hr1 {stat.error;phot.color;em.X-ray}",
        ),
        sa.Column(
            "hr2",
            sa.REAL(),
            nullable=True,
            comment="Hardness ratio of the hard to the medium band: (hard - medium) / (hard + medium), as the mission gives it, else from the band fluxes {phot.color;em.X-ray}",
        ),
        sa.Column(
            "hr2_err",
            sa.REAL(),
            nullable=True,
            comment="1 sigma error of hr2 {stat.error;phot.color;em.X-ray}",
        ),
        sa.Column(
            "gamma",
            sa.REAL(),
            nullable=True,
            comment="Photon index of an absorbed power law: photon index of the mission's absorbed power-law fit {spect.index;em.X-ray}",
        ),
        sa.Column(
            "snr",
            sa.REAL(),
            nullable=True,
            comment="Signal-to-noise ratio of the detection (of a source: the best of its detections) {stat.snr;em.X-ray}",
        ),
        sa.Column(
            "det_likelihood",
            sa.REAL(),
            nullable=True,
            comment="Detection likelihood as the mission gives it {stat.likelihood;em.X-ray}",
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
            "p_variable",
            sa.REAL(),
            nullable=True,
            comment="Probability that the source varied within an observation: largest probability of variability within one observation {stat.probability;src.var;em.X-ray}",
        ),
        sa.Column(
            "extent_arcsec",
            sa.REAL(),
            nullable=True,
            comment="Extent of the X-ray source, 0 if point-like [arcsec] {phys.angSize;em.X-ray}",
        ),
        sa.Column(
            "quality_flag",
            sa.Integer(),
            nullable=True,
            comment="Quality as the mission flags it, 0 = clean (of a source: the bits of all its detections) {meta.code.qual}",
        ),
        sa.CheckConstraint("dec >= -90 AND dec <= 90", name=op.f("source_dec_check")),
        sa.CheckConstraint("err_arcsec > 0 AND err_arcsec < 3600", name=op.f("source_err_arcsec_check")),
        sa.CheckConstraint("p_variable >= 0 AND p_variable <= 1", name=op.f("source_p_variable_check")),
        sa.CheckConstraint("ra >= 0 AND ra < 360", name=op.f("source_ra_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", name=op.f("source_pkey")),
        schema="xcat",
        comment="X-ray sources of one mission, made of its detections",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_index(
        "source_q3c_idx",
        "source",
        [sa.literal_column("public.q3c_ang2ipix(ra, dec)")],
        unique=False,
        schema="xcat",
    )
    op.create_table(
        "source_detection",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "source_id",
            sa.BigInteger(),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
        ),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column(
            "object_id",
            sa.BigInteger(),
            nullable=False,
            comment="Number of the row inside its catalogue {meta.id}",
        ),
        sa.PrimaryKeyConstraint("run_id", "source_id", "object_id", name=op.f("source_detection_pkey")),
        schema="xcat",
        comment="Which detections a source is made of",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "catalogue_file",
        sa.Column(
            "file_id",
            sa.Integer(),
            sa.Identity(always=False),
            nullable=False,
            comment="The file that the row came from {meta.id;meta.file}",
        ),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column("file_name", sa.Text(), nullable=False, comment="Name of the file {meta.id;meta.file}"),
        sa.Column("sha256", sa.Text(), nullable=False, comment="SHA-256 of the file {meta.checksum}"),
        sa.Column(
            "n_bytes",
            sa.BigInteger(),
            nullable=False,
            comment="Size of the file [byte] {phys.size;meta.file}",
        ),
        sa.Column("n_rows", sa.BigInteger(), nullable=False, comment="Rows loaded {meta.number}"),
        sa.Column(
            "n_rejected",
            sa.BigInteger(),
            nullable=False,
            comment="Rows set aside, each with its reason in the table reject {meta.number}",
        ),
        sa.ForeignKeyConstraint(
            ["catalogue_id"], ["xcat.catalogue.catalogue_id"], name=op.f("catalogue_file_catalogue_id_fkey")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["xcat.run.run_id"], name=op.f("catalogue_file_run_id_fkey")),
        sa.PrimaryKeyConstraint("file_id", name=op.f("catalogue_file_pkey")),
        sa.UniqueConstraint("catalogue_id", "sha256", name=op.f("catalogue_file_catalogue_id_sha256_key")),
        schema="xcat",
        comment="Files whose rows are in the catalogue tables",
    )
    op.create_table(
        "model",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "classes",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Names of the classes, in the order of every per-class array {src.class}",
        ),
        sa.Column(
            "priors",
            postgresql.ARRAY(sa.DOUBLE_PRECISION()),
            nullable=False,
            comment="Prior probability of each class {stat.probability}",
        ),
        sa.Column(
            "n_reference",
            postgresql.ARRAY(sa.Integer()),
            nullable=False,
            comment="Labelled sources of each class that the tables were fitted on {meta.number}",
        ),
        sa.Column(
            "categories",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Names of the categories, in the order of every per-category array {meta.id}",
        ),
        sa.Column(
            "weights",
            postgresql.ARRAY(sa.DOUBLE_PRECISION()),
            nullable=False,
            comment="Weight alpha of each category {stat.weight}",
        ),
        sa.Column(
            "properties",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Names of the properties, in the order of every per-property array {meta.id}",
        ),
        sa.Column(
            "property_category",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Category of each property, in the order of the properties {meta.id}",
        ),
        sa.Column(
            "sharpness",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Exponent that multiplies the weighted mean log-likelihood; 1 is the poster's formula {stat.fit.param}",
        ),
        sa.Column(
            "outlier_limit",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Outlier measure above which a source is called an outlier, a quantile of the out-of-fold reference sample {stat.fit.param}",
        ),
        sa.CheckConstraint("0 < ALL (priors) AND 1 >= ALL (priors)", name=op.f("model_priors_check")),
        sa.CheckConstraint("0 <= ALL (weights) AND 'Infinity' > ALL (weights)", name=op.f("model_weights_check")),
        sa.CheckConstraint("sharpness > 0 AND sharpness < 'Infinity'", name=op.f("model_sharpness_check")),
        sa.ForeignKeyConstraint(["run_id"], ["xcat.run.run_id"], name=op.f("model_run_id_fkey")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("model_pkey")),
        schema="xcat",
        comment="What a fit run made: classes, priors, weights; its tables are in likelihood_table",
    )
    op.create_table(
        "publication",
        sa.Column(
            "publication_id",
            sa.Integer(),
            sa.Identity(always=False),
            nullable=False,
            comment="Number of the publication {meta.id;meta.main}",
        ),
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column(
            "published_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was published {time}",
        ),
        sa.Column(
            "active",
            sa.Boolean(),
            nullable=False,
            comment="True for the publication that the views show {meta.code}",
        ),
        sa.ForeignKeyConstraint(["run_id"], ["xcat.run.run_id"], name=op.f("publication_run_id_fkey")),
        sa.PrimaryKeyConstraint("publication_id", name=op.f("publication_pkey")),
        schema="xcat",
        comment="Which classify run the views show, and which they showed before",
    )
    op.create_index(
        "publication_one_active_idx",
        "publication",
        ["active"],
        unique=True,
        schema="xcat",
        postgresql_where=sa.text("active"),
    )
    op.create_table(
        "source_identity",
        sa.Column(
            "source_id",
            sa.BigInteger(),
            sa.Identity(always=False),
            nullable=False,
            comment="xcat's number of the source: the same in every run {meta.id;meta.main}",
        ),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False, comment="The catalogue {meta.id;meta.dataset}"),
        sa.Column(
            "mission_source",
            sa.Text(collation="C"),
            nullable=False,
            comment="Name of the source within its mission, the key of its number {meta.id}",
        ),
        sa.Column(
            "first_run_id",
            sa.Integer(),
            nullable=False,
            comment="The run that met this source first {meta.id.assoc}",
        ),
        sa.ForeignKeyConstraint(
            ["catalogue_id"], ["xcat.catalogue.catalogue_id"], name=op.f("source_identity_catalogue_id_fkey")
        ),
        sa.ForeignKeyConstraint(["first_run_id"], ["xcat.run.run_id"], name=op.f("source_identity_first_run_id_fkey")),
        sa.PrimaryKeyConstraint("source_id", name=op.f("source_identity_pkey")),
        sa.UniqueConstraint(
            "catalogue_id", "mission_source", name=op.f("source_identity_catalogue_id_mission_source_key")
        ),
        schema="xcat",
        comment="The number of every source, given once and never again; append-only",
    )
    op.create_table(
        "likelihood_table",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="The run that wrote this row {meta.id;meta.main}"),
        sa.Column("property", sa.Text(), nullable=False, comment="Property {meta.id}"),
        sa.Column("category", sa.Text(), nullable=False, comment="Category of the property {meta.id}"),
        sa.Column("class", sa.Text(), nullable=False, comment="Class {src.class}"),
        sa.Column(
            "grid",
            postgresql.ARRAY(sa.DOUBLE_PRECISION()),
            nullable=False,
            comment="Nodes of the table, on the property's scale {stat.param}",
        ),
        sa.Column(
            "log_density",
            postgresql.ARRAY(sa.DOUBLE_PRECISION()),
            nullable=False,
            comment="Natural log of the class's density at the nodes, per unit of the property's scale {stat.likelihood}",
        ),
        sa.Column(
            "tail_slope",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Decrease of log_density per unit of the property's scale beyond the ends of the table {stat.fit.param}",
        ),
        sa.Column(
            "log_present",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Natural log of the probability that the property is present in this class {stat.probability}",
        ),
        sa.Column(
            "log_missing",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Natural log of the probability that the property is missing in this class {stat.probability}",
        ),
        sa.Column(
            "bandwidth",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Kernel bandwidth, on the property's scale {stat.fit.param}",
        ),
        sa.Column(
            "n_present",
            sa.Integer(),
            nullable=False,
            comment="Labelled sources of the class with this property {meta.number}",
        ),
        sa.CheckConstraint("log_present <= 0 AND log_missing <= 0", name=op.f("likelihood_table_presence_check")),
        sa.CheckConstraint(
            "tail_slope > 0 AND tail_slope < 'Infinity'", name=op.f("likelihood_table_tail_slope_check")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["xcat.model.run_id"], name=op.f("likelihood_table_run_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "property", "class", name=op.f("likelihood_table_pkey")),
        schema="xcat",
        comment="The density of a property in a class, as a table on a grid",
    )
    op.create_table(
        "reject",
        sa.Column(
            "reject_id",
            sa.BigInteger(),
            sa.Identity(always=False),
            nullable=False,
            comment="Number of the rejected row {meta.id;meta.main}",
        ),
        sa.Column(
            "file_id",
            sa.Integer(),
            nullable=False,
            comment="The file that the row came from {meta.id;meta.file}",
        ),
        sa.Column(
            "row_number",
            sa.BigInteger(),
            nullable=False,
            comment="Row of the file, the first data row being 1 {meta.record}",
        ),
        sa.Column("column_name", sa.Text(), nullable=True, comment="Column at fault, as the file calls it {meta.id}"),
        sa.Column("value", sa.Text(), nullable=True, comment="The value at fault, as the file has it {meta.record}"),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why the row cannot be used {meta.note}"),
        sa.ForeignKeyConstraint(
            ["file_id"], ["xcat.catalogue_file.file_id"], name=op.f("reject_file_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("reject_id", name=op.f("reject_pkey")),
        schema="xcat",
        comment="Rows of the files that could not be used, each with its reason",
    )
    op.create_index(op.f("reject_file_id_idx"), "reject", ["file_id"], unique=False, schema="xcat")


def downgrade() -> None:
    op.drop_index(op.f("reject_file_id_idx"), table_name="reject", schema="xcat")
    op.drop_table("reject", schema="xcat")
    op.drop_table("likelihood_table", schema="xcat")
    op.drop_table("source_identity", schema="xcat")
    op.drop_index(
        "publication_one_active_idx",
        table_name="publication",
        schema="xcat",
        postgresql_where=sa.text("active"),
    )
    op.drop_table("publication", schema="xcat")
    op.drop_table("model", schema="xcat")
    op.drop_table("catalogue_file", schema="xcat")
    op.drop_table("source_detection", schema="xcat")
    op.drop_index("source_q3c_idx", table_name="source", schema="xcat")
    op.drop_table("source", schema="xcat")
    op.drop_index(op.f("run_config_key_idx"), table_name="run", schema="xcat")
    op.drop_table("run", schema="xcat")
    op.drop_index("reference_object_q3c_idx", table_name="reference_object", schema="xcat")
    op.drop_table("reference_object", schema="xcat")
    op.drop_table("property", schema="xcat")
    op.drop_table("out_of_fold", schema="xcat")
    op.drop_table("match_candidate", schema="xcat")
    op.drop_table("match", schema="xcat")
    op.drop_table("label", schema="xcat")
    op.drop_index("galaxy_q3c_idx", table_name="galaxy", schema="xcat")
    op.drop_table("galaxy", schema="xcat")
    op.drop_index("detection_q3c_idx", table_name="detection", schema="xcat")
    op.drop_table("detection", schema="xcat")
    op.drop_index("counterpart_q3c_idx", table_name="counterpart", schema="xcat")
    op.drop_table("counterpart", schema="xcat")
    op.drop_table("classification", schema="xcat")
    op.drop_table("catalogue", schema="xcat")
