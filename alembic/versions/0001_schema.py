"""The schema, as it is when xcat is first released; comments come from the registry (xcat/database/objects.py).

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
        "classified_runs",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("catalogue", sa.Text(), nullable=False),
        sa.Column("ra", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("dec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("err_arcsec", sa.REAL(), nullable=False),
        sa.Column("glon", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("glat", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("hpx29", sa.BigInteger(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("p_class", sa.REAL(), nullable=False),
        sa.Column("p_agn", sa.REAL(), nullable=True),
        sa.Column("p_star", sa.REAL(), nullable=True),
        sa.Column("p_xrb", sa.REAL(), nullable=True),
        sa.Column("p_cv", sa.REAL(), nullable=True),
        sa.Column("margin", sa.REAL(), nullable=True),
        sa.Column("outlier", sa.REAL(), nullable=True),
        sa.Column("p_tail", sa.REAL(), nullable=True),
        sa.Column("is_outlier", sa.Boolean(), nullable=False),
        sa.Column("n_missing", sa.SmallInteger(), nullable=False),
        sa.Column("alternative", sa.Text(), nullable=False),
        sa.Column("is_out_of_fold", sa.Boolean(), nullable=False),
        sa.Column("known_class", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.Column("is_classifiable", sa.Boolean(), nullable=False),
        sa.Column("in_test_sample", sa.Boolean(), nullable=False),
        sa.Column("n_detections", sa.Integer(), nullable=False),
        sa.Column("mjd_first", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("mjd_last", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("flux_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_err_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_low_kev", sa.REAL(), nullable=True),
        sa.Column("flux_high_kev", sa.REAL(), nullable=True),
        sa.Column("flux_std_cgs", sa.REAL(), nullable=True),
        sa.Column("snr", sa.REAL(), nullable=True),
        sa.Column("det_likelihood", sa.REAL(), nullable=True),
        sa.Column("flux_ratio", sa.REAL(), nullable=True),
        sa.Column("flux_ratio_low", sa.REAL(), nullable=True),
        sa.Column("extent_arcsec", sa.REAL(), nullable=True),
        sa.Column("quality_flag", sa.Integer(), nullable=True),
        sa.Column("master_id", sa.BigInteger(), nullable=True),
        sa.Column("n_missions", sa.SmallInteger(), nullable=True),
        sa.Column("is_ambiguous", sa.Boolean(), nullable=True),
        sa.Column("optical_catalogue", sa.Text(), nullable=True),
        sa.Column("optical_native_id", sa.Text(), nullable=True),
        sa.Column("optical_sep_arcsec", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("optical_p_any", sa.REAL(), nullable=True),
        sa.Column("infrared_catalogue", sa.Text(), nullable=True),
        sa.Column("infrared_native_id", sa.Text(), nullable=True),
        sa.Column("infrared_sep_arcsec", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("infrared_p_any", sa.REAL(), nullable=True),
        sa.Column("has_optical", sa.Boolean(), nullable=False),
        sa.Column("has_infrared", sa.Boolean(), nullable=False),
        sa.Column("has_spectrum", sa.Boolean(), nullable=False),
        sa.Column("observed_optical", sa.Boolean(), nullable=False),
        sa.Column("observed_infrared", sa.Boolean(), nullable=False),
        sa.Column("abs_b", sa.REAL(), nullable=True),
        sa.Column("abs_l", sa.REAL(), nullable=True),
        sa.Column("pm_mas_yr", sa.REAL(), nullable=True),
        sa.Column("parallax_sigma", sa.REAL(), nullable=True),
        sa.Column("distance_pc", sa.REAL(), nullable=True),
        sa.Column("log_lx_counterpart", sa.REAL(), nullable=True),
        sa.Column("sep_to_radius", sa.REAL(), nullable=True),
        sa.Column("log_lx_galaxy", sa.REAL(), nullable=True),
        sa.Column("hr1", sa.REAL(), nullable=True),
        sa.Column("hr2", sa.REAL(), nullable=True),
        sa.Column("gamma", sa.REAL(), nullable=True),
        sa.Column("log_fx", sa.REAL(), nullable=True),
        sa.Column("log_fx_fb", sa.REAL(), nullable=True),
        sa.Column("log_fx_fr", sa.REAL(), nullable=True),
        sa.Column("log_fx_fw1", sa.REAL(), nullable=True),
        sa.Column("log_fx_fw2", sa.REAL(), nullable=True),
        sa.Column("log_fx_fj", sa.REAL(), nullable=True),
        sa.Column("bp_rp", sa.REAL(), nullable=True),
        sa.Column("r_w1", sa.REAL(), nullable=True),
        sa.Column("j_k", sa.REAL(), nullable=True),
        sa.Column("h_k", sa.REAL(), nullable=True),
        sa.Column("j_w1", sa.REAL(), nullable=True),
        sa.Column("w1_w2", sa.REAL(), nullable=True),
        sa.Column("w2_w3", sa.REAL(), nullable=True),
        sa.Column("log_flux_ratio", sa.REAL(), nullable=True),
        sa.Column("log_flux_ratio_low", sa.REAL(), nullable=True),
        sa.Column("flux_ratio_sigma", sa.REAL(), nullable=True),
        sa.Column("p_variable", sa.REAL(), nullable=True),
        sa.Column("p_variable_long", sa.REAL(), nullable=True),
        sa.Column("hr1_err", sa.REAL(), nullable=True),
        sa.Column("hr2_err", sa.REAL(), nullable=True),
        sa.Column("log_fx_err", sa.REAL(), nullable=True),
        sa.Column("log_fx_fb_limit", sa.REAL(), nullable=True),
        sa.Column("log_fx_fr_limit", sa.REAL(), nullable=True),
        sa.Column("log_fx_fw1_limit", sa.REAL(), nullable=True),
        sa.Column("log_fx_fw2_limit", sa.REAL(), nullable=True),
        sa.Column("log_fx_fj_limit", sa.REAL(), nullable=True),
        schema="pub",
        postgresql_partition_by="RANGE (run_id)",
    )
    op.create_index(
        "classified_runs_class_p_class_idx", "classified_runs", ["class", "p_class"], unique=False, schema="pub"
    )
    op.create_index("classified_runs_hpx29_idx", "classified_runs", ["hpx29"], unique=False, schema="pub")
    op.create_index(
        "classified_runs_name_idx", "classified_runs", ["name"], unique=False, schema="pub", postgresql_using="hash"
    )
    op.create_index(
        "classified_runs_name_key_idx",
        "classified_runs",
        [sa.literal_column("lower(regexp_replace(name, '\\s'::text, ''::text, 'g'::text))")],
        unique=False,
        schema="pub",
        postgresql_using="hash",
    )
    op.create_index(
        "classified_runs_q3c_idx",
        "classified_runs",
        [sa.literal_column("public.q3c_ang2ipix(ra, dec)")],
        unique=False,
        schema="pub",
    )
    op.create_index(
        "classified_runs_source_id_idx",
        "classified_runs",
        ["source_id"],
        unique=False,
        schema="pub",
        postgresql_using="hash",
    )
    op.create_table(
        "counterparts_runs",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("catalogue", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("native_id", sa.Text(collation="C"), nullable=False),
        sa.Column("ra", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("dec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("sep_arcsec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("p_any", sa.REAL(), nullable=True),
        sa.Column("p_i", sa.REAL(), nullable=True),
        sa.Column("n_candidates", sa.Integer(), nullable=False),
        sa.Column("density_per_deg2", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("pmra_mas_yr", sa.REAL(), nullable=True),
        sa.Column("pmdec_mas_yr", sa.REAL(), nullable=True),
        sa.Column("parallax_mas", sa.REAL(), nullable=True),
        sa.Column("parallax_err_mas", sa.REAL(), nullable=True),
        sa.Column("distance_pc", sa.REAL(), nullable=True),
        sa.Column("mag", sa.REAL(), nullable=True),
        sa.Column("mag_gaia_g", sa.REAL(), nullable=True),
        sa.Column("mag_gaia_bp", sa.REAL(), nullable=True),
        sa.Column("mag_gaia_rp", sa.REAL(), nullable=True),
        sa.Column("mag_g", sa.REAL(), nullable=True),
        sa.Column("mag_r", sa.REAL(), nullable=True),
        sa.Column("mag_i", sa.REAL(), nullable=True),
        sa.Column("mag_z", sa.REAL(), nullable=True),
        sa.Column("mag_y", sa.REAL(), nullable=True),
        sa.Column("mag_j", sa.REAL(), nullable=True),
        sa.Column("mag_h", sa.REAL(), nullable=True),
        sa.Column("mag_k", sa.REAL(), nullable=True),
        sa.Column("mag_w1", sa.REAL(), nullable=True),
        sa.Column("mag_w2", sa.REAL(), nullable=True),
        sa.Column("mag_w3", sa.REAL(), nullable=True),
        sa.Column("mag_ch1", sa.REAL(), nullable=True),
        schema="pub",
        postgresql_partition_by="RANGE (run_id)",
    )
    op.create_index(
        "counterparts_runs_native_id_idx",
        "counterparts_runs",
        ["native_id"],
        unique=False,
        schema="pub",
        postgresql_using="hash",
    )
    op.create_index(
        "counterparts_runs_q3c_idx",
        "counterparts_runs",
        [sa.literal_column("public.q3c_ang2ipix(ra, dec)")],
        unique=False,
        schema="pub",
    )
    op.create_index(
        "counterparts_runs_source_id_idx",
        "counterparts_runs",
        ["source_id"],
        unique=False,
        schema="pub",
        postgresql_using="hash",
    )
    op.create_table(
        "hypotheses_runs",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("p_hypothesis", sa.REAL(), nullable=False),
        sa.Column("p_i", sa.REAL(), nullable=True),
        sa.Column("match_flag", sa.SmallInteger(), nullable=False),
        sa.Column("log_bayes_factor", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("catalogues", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("objects", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("has_properties", sa.Boolean(), nullable=False),
        sa.Column("pm_mas_yr", sa.REAL(), nullable=True),
        sa.Column("parallax_sigma", sa.REAL(), nullable=True),
        sa.Column("distance_pc", sa.REAL(), nullable=True),
        sa.Column("log_lx_counterpart", sa.REAL(), nullable=True),
        sa.Column("log_fx_fb", sa.REAL(), nullable=True),
        sa.Column("log_fx_fr", sa.REAL(), nullable=True),
        sa.Column("log_fx_fw1", sa.REAL(), nullable=True),
        sa.Column("log_fx_fw2", sa.REAL(), nullable=True),
        sa.Column("log_fx_fj", sa.REAL(), nullable=True),
        sa.Column("bp_rp", sa.REAL(), nullable=True),
        sa.Column("r_w1", sa.REAL(), nullable=True),
        sa.Column("j_k", sa.REAL(), nullable=True),
        sa.Column("h_k", sa.REAL(), nullable=True),
        sa.Column("j_w1", sa.REAL(), nullable=True),
        sa.Column("w1_w2", sa.REAL(), nullable=True),
        sa.Column("w2_w3", sa.REAL(), nullable=True),
        schema="pub",
        postgresql_partition_by="RANGE (run_id)",
    )
    op.create_index(
        "hypotheses_runs_source_id_idx",
        "hypotheses_runs",
        ["source_id"],
        unique=False,
        schema="pub",
        postgresql_using="hash",
    )
    op.create_table(
        "master_sources_runs",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("master_id", sa.BigInteger(), nullable=False),
        sa.Column("ra", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("dec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("err_arcsec", sa.REAL(), nullable=False),
        sa.Column("n_missions", sa.SmallInteger(), nullable=False),
        sa.Column("n_sources", sa.SmallInteger(), nullable=False),
        sa.Column("n_detections", sa.Integer(), nullable=False),
        sa.Column("n_upper_limits", sa.Integer(), nullable=False),
        sa.Column("is_ambiguous", sa.Boolean(), nullable=False),
        sa.Column("mjd_first", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("mjd_last", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("flux_std_min_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_std_max_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_ratio", sa.REAL(), nullable=True),
        sa.Column("flux_ratio_low", sa.REAL(), nullable=True),
        sa.Column("flux_ratio_sigma", sa.REAL(), nullable=True),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("catalogue", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("flux_std_cgs", sa.REAL(), nullable=True),
        sa.Column("sep_arcsec", sa.DOUBLE_PRECISION(), nullable=False),
        schema="pub",
        postgresql_partition_by="RANGE (run_id)",
    )
    op.create_index(
        "master_sources_runs_master_id_idx",
        "master_sources_runs",
        ["master_id"],
        unique=False,
        schema="pub",
        postgresql_using="hash",
    )
    op.create_index(
        "master_sources_runs_q3c_idx",
        "master_sources_runs",
        [sa.literal_column("public.q3c_ang2ipix(ra, dec)")],
        unique=False,
        schema="pub",
    )
    op.create_index(
        "master_sources_runs_source_id_idx",
        "master_sources_runs",
        ["source_id"],
        unique=False,
        schema="pub",
        postgresql_using="hash",
    )
    op.create_table(
        "source_evidence_runs",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("evidence", postgresql.ARRAY(sa.REAL()), nullable=False),
        schema="pub",
        postgresql_partition_by="RANGE (run_id)",
    )
    op.create_index(
        "source_evidence_runs_source_id_idx",
        "source_evidence_runs",
        ["source_id"],
        unique=False,
        schema="pub",
        postgresql_using="hash",
    )
    op.create_table(
        "ulx_candidates_runs",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("catalogue", sa.Text(), nullable=False),
        sa.Column("ra", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("dec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("err_arcsec", sa.REAL(), nullable=False),
        sa.Column("galaxy", sa.Text(), nullable=False),
        sa.Column("distance_mpc", sa.REAL(), nullable=True),
        sa.Column("sep_arcsec", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("sep_nucleus_arcsec", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("sep_to_radius", sa.REAL(), nullable=True),
        sa.Column("log_lx_galaxy", sa.REAL(), nullable=True),
        sa.Column("is_hyperluminous", sa.Boolean(), nullable=False),
        sa.Column("flux_std_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_err_cgs", sa.REAL(), nullable=True),
        sa.Column("snr", sa.REAL(), nullable=True),
        sa.Column("n_detections", sa.Integer(), nullable=False),
        sa.Column("ellipse_deg2", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("n_background", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("n_as_bright", sa.BigInteger(), nullable=True),
        sa.Column("p_contaminant", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("p_class", sa.REAL(), nullable=True),
        sa.Column("p_agn", sa.REAL(), nullable=True),
        sa.Column("p_xrb", sa.REAL(), nullable=True),
        sa.Column("outlier", sa.REAL(), nullable=True),
        sa.Column("is_outlier", sa.Boolean(), nullable=False),
        sa.Column("alternative", sa.Text(), nullable=False),
        sa.Column("known_class", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.Column("extent_arcsec", sa.REAL(), nullable=True),
        sa.Column("quality_flag", sa.Integer(), nullable=True),
        schema="pub",
        postgresql_partition_by="RANGE (run_id)",
    )
    op.create_index(
        "ulx_candidates_runs_q3c_idx",
        "ulx_candidates_runs",
        [sa.literal_column("public.q3c_ang2ipix(ra, dec)")],
        unique=False,
        schema="pub",
    )
    op.create_index(
        "ulx_candidates_runs_source_id_idx",
        "ulx_candidates_runs",
        ["source_id"],
        unique=False,
        schema="pub",
        postgresql_using="hash",
    )
    op.create_table(
        "catalogue",
        sa.Column("catalogue_id", sa.SmallInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("definition_sha256", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("catalogue_id", name=op.f("catalogue_pkey")),
        sa.UniqueConstraint("name", "version", name=op.f("catalogue_name_version_key")),
        schema="xcat",
    )
    op.create_index(
        "catalogue_one_current_idx",
        "catalogue",
        ["name"],
        unique=True,
        schema="xcat",
        postgresql_where=sa.text("is_current"),
    )
    op.create_table(
        "classification",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("p", postgresql.ARRAY(sa.REAL()), nullable=False),
        sa.Column("margin", sa.REAL(), nullable=False),
        sa.Column("outlier", sa.REAL(), nullable=False),
        sa.Column("p_tail", sa.REAL(), nullable=False),
        sa.Column("is_outlier", sa.Boolean(), nullable=False),
        sa.Column("n_missing", sa.SmallInteger(), nullable=False),
        sa.Column("alternative", sa.Text(), nullable=False),
        sa.Column("is_classifiable", sa.Boolean(), nullable=False),
        sa.Column("evidence", postgresql.ARRAY(sa.REAL()), nullable=False),
        sa.CheckConstraint("outlier >= 0 AND outlier < 'Infinity'", name=op.f("classification_outlier_check")),
        sa.CheckConstraint(
            "0 <= ALL (p) AND 1 >= ALL (p) AND array_position(p, NULL) IS NULL", name=op.f("classification_p_check")
        ),
        sa.CheckConstraint("margin >= 0 AND margin <= 1", name=op.f("classification_margin_check")),
        sa.CheckConstraint("p_tail >= 0 AND p_tail <= 1", name=op.f("classification_p_tail_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", name=op.f("classification_pkey")),
        schema="xcat",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "counterpart",
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False),
        sa.Column("object_id", sa.BigInteger(), nullable=False),
        sa.Column("file_id", sa.Integer(), nullable=False),
        sa.Column("native_id", sa.Text(collation="C"), nullable=False),
        sa.Column("ra", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("dec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("err_arcsec", sa.REAL(), nullable=False),
        sa.Column("err_maj_arcsec", sa.REAL(), nullable=True),
        sa.Column("err_min_arcsec", sa.REAL(), nullable=True),
        sa.Column("err_pa_deg", sa.REAL(), nullable=True),
        sa.Column("epoch_yr", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("pmra_mas_yr", sa.REAL(), nullable=True),
        sa.Column("pmdec_mas_yr", sa.REAL(), nullable=True),
        sa.Column("parallax_mas", sa.REAL(), nullable=True),
        sa.Column("parallax_err_mas", sa.REAL(), nullable=True),
        sa.Column("distance_pc", sa.REAL(), nullable=True),
        sa.Column("mag", sa.REAL(), nullable=True),
        sa.Column("mag_gaia_g", sa.REAL(), nullable=True),
        sa.Column("mag_gaia_bp", sa.REAL(), nullable=True),
        sa.Column("mag_gaia_rp", sa.REAL(), nullable=True),
        sa.Column("mag_g", sa.REAL(), nullable=True),
        sa.Column("mag_r", sa.REAL(), nullable=True),
        sa.Column("mag_i", sa.REAL(), nullable=True),
        sa.Column("mag_z", sa.REAL(), nullable=True),
        sa.Column("mag_y", sa.REAL(), nullable=True),
        sa.Column("mag_j", sa.REAL(), nullable=True),
        sa.Column("mag_h", sa.REAL(), nullable=True),
        sa.Column("mag_k", sa.REAL(), nullable=True),
        sa.Column("mag_w1", sa.REAL(), nullable=True),
        sa.Column("mag_w2", sa.REAL(), nullable=True),
        sa.Column("mag_w3", sa.REAL(), nullable=True),
        sa.Column("mag_ch1", sa.REAL(), nullable=True),
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
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False),
        sa.Column("object_id", sa.BigInteger(), nullable=False),
        sa.Column("file_id", sa.Integer(), nullable=False),
        sa.Column("native_id", sa.Text(collation="C"), nullable=False),
        sa.Column("source_native_id", sa.Text(collation="C"), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("obs_id", sa.Text(collation="C"), nullable=True),
        sa.Column("ra", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("dec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("err_arcsec", sa.REAL(), nullable=False),
        sa.Column("err_maj_arcsec", sa.REAL(), nullable=True),
        sa.Column("err_min_arcsec", sa.REAL(), nullable=True),
        sa.Column("err_pa_deg", sa.REAL(), nullable=True),
        sa.Column("epoch_yr", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("mjd", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("exposure_s", sa.REAL(), nullable=True),
        sa.Column("flux_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_err_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_soft_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_soft_err_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_medium_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_medium_err_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_hard_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_hard_err_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_upper_cgs", sa.REAL(), nullable=True),
        sa.Column("hr1", sa.REAL(), nullable=True),
        sa.Column("hr1_err", sa.REAL(), nullable=True),
        sa.Column("hr2", sa.REAL(), nullable=True),
        sa.Column("hr2_err", sa.REAL(), nullable=True),
        sa.Column("gamma", sa.REAL(), nullable=True),
        sa.Column("snr", sa.REAL(), nullable=True),
        sa.Column("det_likelihood", sa.REAL(), nullable=True),
        sa.Column("p_variable", sa.REAL(), nullable=True),
        sa.Column("p_variable_long", sa.REAL(), nullable=True),
        sa.Column("extent_arcsec", sa.REAL(), nullable=True),
        sa.Column("quality_flag", sa.Integer(), nullable=True),
        sa.Column("n_detections", sa.Integer(), nullable=True),
        sa.CheckConstraint("dec >= -90 AND dec <= 90", name=op.f("detection_dec_check")),
        sa.CheckConstraint("err_arcsec > 0 AND err_arcsec < 3600", name=op.f("detection_err_arcsec_check")),
        sa.CheckConstraint(
            "err_maj_arcsec IS NULL OR err_min_arcsec > 0 AND err_maj_arcsec >= err_min_arcsec AND err_maj_arcsec < 3600",
            name=op.f("detection_ellipse_check"),
        ),
        sa.CheckConstraint("p_variable >= 0 AND p_variable <= 1", name=op.f("detection_p_variable_check")),
        sa.CheckConstraint(
            "p_variable_long >= 0 AND p_variable_long <= 1", name=op.f("detection_p_variable_long_check")
        ),
        sa.CheckConstraint("ra >= 0 AND ra < 360", name=op.f("detection_ra_check")),
        sa.PrimaryKeyConstraint("catalogue_id", "object_id", name=op.f("detection_pkey")),
        sa.UniqueConstraint("catalogue_id", "native_id", name=op.f("detection_catalogue_id_native_id_key")),
        schema="xcat",
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
        "dropped_table",
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("table_name", name=op.f("dropped_table_pkey")),
        schema="xcat",
    )
    op.create_table(
        "evaluation",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("folds", sa.Text(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("fold", sa.SmallInteger(), nullable=False),
        sa.Column("p", postgresql.ARRAY(sa.REAL()), nullable=False),
        sa.CheckConstraint("folds IN ('source', 'sky')", name=op.f("evaluation_folds_check")),
        sa.CheckConstraint(
            "0 <= ALL (p) AND 1 >= ALL (p) AND array_position(p, NULL) IS NULL", name=op.f("evaluation_p_check")
        ),
        sa.PrimaryKeyConstraint("run_id", "source_id", "method", "seed", "folds", name=op.f("evaluation_pkey")),
        schema="xcat",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "galaxy",
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False),
        sa.Column("object_id", sa.BigInteger(), nullable=False),
        sa.Column("file_id", sa.Integer(), nullable=False),
        sa.Column("native_id", sa.Text(collation="C"), nullable=False),
        sa.Column("ra", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("dec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("distance_mpc", sa.REAL(), nullable=True),
        sa.Column("d25_arcmin", sa.REAL(), nullable=True),
        sa.Column("axis_ratio", sa.REAL(), nullable=True),
        sa.Column("pa_deg", sa.REAL(), nullable=True),
        sa.CheckConstraint("axis_ratio > 0 AND axis_ratio <= 1", name=op.f("galaxy_axis_ratio_check")),
        sa.CheckConstraint("d25_arcmin >= 0 AND d25_arcmin < 1200", name=op.f("galaxy_d25_arcmin_check")),
        sa.CheckConstraint("dec >= -90 AND dec <= 90", name=op.f("galaxy_dec_check")),
        sa.CheckConstraint("ra >= 0 AND ra < 360", name=op.f("galaxy_ra_check")),
        sa.PrimaryKeyConstraint("catalogue_id", "object_id", name=op.f("galaxy_pkey")),
        sa.UniqueConstraint("catalogue_id", "native_id", name=op.f("galaxy_catalogue_id_native_id_key")),
        schema="xcat",
        postgresql_partition_by="LIST (catalogue_id)",
    )
    op.create_index(
        "galaxy_q3c_idx", "galaxy", [sa.literal_column("public.q3c_ang2ipix(ra, dec)")], unique=False, schema="xcat"
    )
    op.create_table(
        "hypothesis",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("catalogues", postgresql.ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column("objects", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("log_bayes_factor", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("p_hypothesis", sa.REAL(), nullable=False),
        sa.Column("p_i", sa.REAL(), nullable=True),
        sa.Column("match_flag", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("cardinality(catalogues) = cardinality(objects)", name=op.f("hypothesis_members_check")),
        sa.CheckConstraint("match_flag IN (0, 1, 2)", name=op.f("hypothesis_match_flag_check")),
        sa.CheckConstraint("p_hypothesis >= 0 AND p_hypothesis <= 1", name=op.f("hypothesis_p_hypothesis_check")),
        sa.CheckConstraint("p_i >= 0 AND p_i <= 1", name=op.f("hypothesis_p_i_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", "rank", name=op.f("hypothesis_pkey")),
        schema="xcat",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "hypothesis_property",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("p_hypothesis", sa.REAL(), nullable=False),
        sa.Column("pm_mas_yr", sa.REAL(), nullable=True),
        sa.Column("parallax_sigma", sa.REAL(), nullable=True),
        sa.Column("distance_pc", sa.REAL(), nullable=True),
        sa.Column("log_lx_counterpart", sa.REAL(), nullable=True),
        sa.Column("log_fx_fb", sa.REAL(), nullable=True),
        sa.Column("log_fx_fr", sa.REAL(), nullable=True),
        sa.Column("log_fx_fw1", sa.REAL(), nullable=True),
        sa.Column("log_fx_fw2", sa.REAL(), nullable=True),
        sa.Column("log_fx_fj", sa.REAL(), nullable=True),
        sa.Column("bp_rp", sa.REAL(), nullable=True),
        sa.Column("r_w1", sa.REAL(), nullable=True),
        sa.Column("j_k", sa.REAL(), nullable=True),
        sa.Column("h_k", sa.REAL(), nullable=True),
        sa.Column("j_w1", sa.REAL(), nullable=True),
        sa.Column("w1_w2", sa.REAL(), nullable=True),
        sa.Column("w2_w3", sa.REAL(), nullable=True),
        sa.CheckConstraint(
            "p_hypothesis >= 0 AND p_hypothesis <= 1", name=op.f("hypothesis_property_p_hypothesis_check")
        ),
        sa.PrimaryKeyConstraint("run_id", "source_id", "rank", name=op.f("hypothesis_property_pkey")),
        schema="xcat",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "label",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False),
        sa.Column("object_id", sa.BigInteger(), nullable=False),
        sa.Column("class", sa.Text(), nullable=True),
        sa.Column("class_native", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("sep_arcsec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.CheckConstraint("sep_arcsec >= 0 AND sep_arcsec < 'Infinity'", name=op.f("label_sep_arcsec_check")),
        sa.CheckConstraint("status IN ('used', 'duplicate', 'conflict', 'unmapped')", name=op.f("label_status_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", "catalogue_id", "object_id", name=op.f("label_pkey")),
        schema="xcat",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "master",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("master_id", sa.BigInteger(), nullable=False),
        sa.Column("ra", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("dec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("err_arcsec", sa.REAL(), nullable=False),
        sa.Column("n_missions", sa.SmallInteger(), nullable=False),
        sa.Column("n_sources", sa.SmallInteger(), nullable=False),
        sa.Column("n_detections", sa.Integer(), nullable=False),
        sa.Column("n_upper_limits", sa.Integer(), nullable=False),
        sa.Column("is_ambiguous", sa.Boolean(), nullable=False),
        sa.Column("mjd_first", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("mjd_last", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("flux_std_min_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_std_max_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_ratio", sa.REAL(), nullable=True),
        sa.Column("flux_ratio_low", sa.REAL(), nullable=True),
        sa.Column("flux_ratio_sigma", sa.REAL(), nullable=True),
        sa.CheckConstraint("dec >= -90 AND dec <= 90", name=op.f("master_dec_check")),
        sa.CheckConstraint("err_arcsec > 0 AND err_arcsec < 3600", name=op.f("master_err_arcsec_check")),
        sa.CheckConstraint("ra >= 0 AND ra < 360", name=op.f("master_ra_check")),
        sa.PrimaryKeyConstraint("run_id", "master_id", name=op.f("master_pkey")),
        schema="xcat",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_index(
        "master_q3c_idx", "master", [sa.literal_column("public.q3c_ang2ipix(ra, dec)")], unique=False, schema="xcat"
    )
    op.create_table(
        "master_identity",
        sa.Column("master_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("first_run_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("master_id", name=op.f("master_identity_pkey")),
        schema="xcat",
    )
    op.create_table(
        "master_source",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("master_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.CheckConstraint("status IN ('single', 'linked', 'ambiguous')", name=op.f("master_source_status_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", name=op.f("master_source_pkey")),
        schema="xcat",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_index(op.f("master_source_master_id_idx"), "master_source", ["master_id"], unique=False, schema="xcat")
    op.create_table(
        "match",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False),
        sa.Column("n_candidates", sa.Integer(), nullable=False),
        sa.Column("density_per_deg2", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("completeness", sa.REAL(), nullable=False),
        sa.Column("p_any", sa.REAL(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "density_per_deg2 >= 0 AND density_per_deg2 < 'Infinity'", name=op.f("match_density_per_deg2_check")
        ),
        sa.CheckConstraint("completeness >= 0 AND completeness <= 1", name=op.f("match_completeness_check")),
        sa.CheckConstraint("p_any >= 0 AND p_any <= 1", name=op.f("match_p_any_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", "catalogue_id", name=op.f("match_pkey")),
        schema="xcat",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "match_candidate",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False),
        sa.Column("object_id", sa.BigInteger(), nullable=False),
        sa.Column("sep_arcsec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("log_bayes_factor", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("p_i", sa.REAL(), nullable=False),
        sa.Column("is_best", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "sep_arcsec >= 0 AND sep_arcsec < 'Infinity'", name=op.f("match_candidate_sep_arcsec_check")
        ),
        sa.CheckConstraint("p_i >= 0 AND p_i <= 1", name=op.f("match_candidate_p_i_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", "catalogue_id", "object_id", name=op.f("match_candidate_pkey")),
        schema="xcat",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "out_of_fold",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("known_class", sa.Text(), nullable=False),
        sa.Column("fold", sa.SmallInteger(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("p", postgresql.ARRAY(sa.REAL()), nullable=False),
        sa.Column("margin", sa.REAL(), nullable=False),
        sa.Column("outlier", sa.REAL(), nullable=False),
        sa.Column("p_tail", sa.REAL(), nullable=False),
        sa.Column("is_outlier", sa.Boolean(), nullable=False),
        sa.Column("n_missing", sa.SmallInteger(), nullable=False),
        sa.Column("alternative", sa.Text(), nullable=False),
        sa.Column("is_classifiable", sa.Boolean(), nullable=False),
        sa.Column("evidence", postgresql.ARRAY(sa.REAL()), nullable=False),
        sa.CheckConstraint("outlier >= 0 AND outlier < 'Infinity'", name=op.f("out_of_fold_outlier_check")),
        sa.CheckConstraint(
            "0 <= ALL (p) AND 1 >= ALL (p) AND array_position(p, NULL) IS NULL", name=op.f("out_of_fold_p_check")
        ),
        sa.CheckConstraint("margin >= 0 AND margin <= 1", name=op.f("out_of_fold_margin_check")),
        sa.CheckConstraint("p_tail >= 0 AND p_tail <= 1", name=op.f("out_of_fold_p_tail_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", name=op.f("out_of_fold_pkey")),
        schema="xcat",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "property",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("abs_b", sa.REAL(), nullable=True),
        sa.Column("abs_l", sa.REAL(), nullable=True),
        sa.Column("pm_mas_yr", sa.REAL(), nullable=True),
        sa.Column("parallax_sigma", sa.REAL(), nullable=True),
        sa.Column("distance_pc", sa.REAL(), nullable=True),
        sa.Column("log_lx_counterpart", sa.REAL(), nullable=True),
        sa.Column("sep_to_radius", sa.REAL(), nullable=True),
        sa.Column("log_lx_galaxy", sa.REAL(), nullable=True),
        sa.Column("hr1", sa.REAL(), nullable=True),
        sa.Column("hr2", sa.REAL(), nullable=True),
        sa.Column("gamma", sa.REAL(), nullable=True),
        sa.Column("log_fx", sa.REAL(), nullable=True),
        sa.Column("log_fx_fb", sa.REAL(), nullable=True),
        sa.Column("log_fx_fr", sa.REAL(), nullable=True),
        sa.Column("log_fx_fw1", sa.REAL(), nullable=True),
        sa.Column("log_fx_fw2", sa.REAL(), nullable=True),
        sa.Column("log_fx_fj", sa.REAL(), nullable=True),
        sa.Column("bp_rp", sa.REAL(), nullable=True),
        sa.Column("r_w1", sa.REAL(), nullable=True),
        sa.Column("j_k", sa.REAL(), nullable=True),
        sa.Column("h_k", sa.REAL(), nullable=True),
        sa.Column("j_w1", sa.REAL(), nullable=True),
        sa.Column("w1_w2", sa.REAL(), nullable=True),
        sa.Column("w2_w3", sa.REAL(), nullable=True),
        sa.Column("log_flux_ratio", sa.REAL(), nullable=True),
        sa.Column("log_flux_ratio_low", sa.REAL(), nullable=True),
        sa.Column("flux_ratio_sigma", sa.REAL(), nullable=True),
        sa.Column("p_variable", sa.REAL(), nullable=True),
        sa.Column("p_variable_long", sa.REAL(), nullable=True),
        sa.Column("hr1_err", sa.REAL(), nullable=True),
        sa.Column("hr2_err", sa.REAL(), nullable=True),
        sa.Column("log_fx_err", sa.REAL(), nullable=True),
        sa.Column("log_fx_fb_limit", sa.REAL(), nullable=True),
        sa.Column("log_fx_fr_limit", sa.REAL(), nullable=True),
        sa.Column("log_fx_fw1_limit", sa.REAL(), nullable=True),
        sa.Column("log_fx_fw2_limit", sa.REAL(), nullable=True),
        sa.Column("log_fx_fj_limit", sa.REAL(), nullable=True),
        sa.Column("observed_optical", sa.Boolean(), nullable=False),
        sa.Column("observed_infrared", sa.Boolean(), nullable=False),
        sa.Column("has_optical", sa.Boolean(), nullable=False),
        sa.Column("has_infrared", sa.Boolean(), nullable=False),
        sa.Column("has_spectrum", sa.Boolean(), nullable=False),
        sa.Column("n_detections", sa.Integer(), nullable=False),
        sa.Column("is_classifiable", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "source_id", name=op.f("property_pkey")),
        schema="xcat",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "reference_object",
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False),
        sa.Column("object_id", sa.BigInteger(), nullable=False),
        sa.Column("file_id", sa.Integer(), nullable=False),
        sa.Column("native_id", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("ra", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("dec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("err_arcsec", sa.REAL(), nullable=False),
        sa.Column("class", sa.Text(), nullable=True),
        sa.Column("class_native", sa.Text(), nullable=True),
        sa.CheckConstraint("dec >= -90 AND dec <= 90", name=op.f("reference_object_dec_check")),
        sa.CheckConstraint("err_arcsec > 0 AND err_arcsec < 3600", name=op.f("reference_object_err_arcsec_check")),
        sa.CheckConstraint("ra >= 0 AND ra < 360", name=op.f("reference_object_ra_check")),
        sa.PrimaryKeyConstraint("catalogue_id", "object_id", name=op.f("reference_object_pkey")),
        sa.UniqueConstraint("catalogue_id", "native_id", name=op.f("reference_object_catalogue_id_native_id_key")),
        schema="xcat",
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
        sa.Column("run_id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("config", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("config_key", sa.Text(), nullable=False),
        sa.Column("versions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "inputs", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "summary", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("pinned", sa.Text(), nullable=True),
        sa.Column("pipeline_run_id", sa.Integer(), nullable=True),
        sa.Column("source_run_id", sa.Integer(), nullable=True),
        sa.Column("link_run_id", sa.Integer(), nullable=True),
        sa.Column("match_run_id", sa.Integer(), nullable=True),
        sa.Column("property_run_id", sa.Integer(), nullable=True),
        sa.Column("label_run_id", sa.Integer(), nullable=True),
        sa.Column("model_run_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("(status = 'running') = (ended_at IS NULL)", name=op.f("run_ended_at_check")),
        sa.CheckConstraint(
            "kind IN ('pipeline', 'ingest', 'merge', 'link', 'match', 'properties', 'label', 'fit', 'classify', 'publish', 'evaluate')",
            name=op.f("run_kind_check"),
        ),
        sa.CheckConstraint("status IN ('running', 'done', 'failed', 'lost')", name=op.f("run_status_check")),
        sa.ForeignKeyConstraint(["label_run_id"], ["xcat.run.run_id"], name=op.f("run_label_run_id_fkey")),
        sa.ForeignKeyConstraint(["link_run_id"], ["xcat.run.run_id"], name=op.f("run_link_run_id_fkey")),
        sa.ForeignKeyConstraint(["match_run_id"], ["xcat.run.run_id"], name=op.f("run_match_run_id_fkey")),
        sa.ForeignKeyConstraint(["model_run_id"], ["xcat.run.run_id"], name=op.f("run_model_run_id_fkey")),
        sa.ForeignKeyConstraint(
            ["pipeline_run_id"], ["xcat.run.run_id"], name=op.f("run_pipeline_run_id_fkey"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["property_run_id"], ["xcat.run.run_id"], name=op.f("run_property_run_id_fkey")),
        sa.ForeignKeyConstraint(["source_run_id"], ["xcat.run.run_id"], name=op.f("run_source_run_id_fkey")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("run_pkey")),
        schema="xcat",
    )
    op.create_index(op.f("run_config_key_idx"), "run", ["config_key"], unique=False, schema="xcat")
    op.create_table(
        "source",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("ra", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("dec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("err_arcsec", sa.REAL(), nullable=False),
        sa.Column("err_maj_arcsec", sa.REAL(), nullable=True),
        sa.Column("err_min_arcsec", sa.REAL(), nullable=True),
        sa.Column("err_pa_deg", sa.REAL(), nullable=True),
        sa.Column("glon", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("glat", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("epoch_yr", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("mjd_first", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("mjd_last", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("n_detections", sa.Integer(), nullable=False),
        sa.Column("flux_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_err_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_soft_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_soft_err_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_medium_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_medium_err_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_hard_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_hard_err_cgs", sa.REAL(), nullable=True),
        sa.Column("flux_low_kev", sa.REAL(), nullable=True),
        sa.Column("flux_high_kev", sa.REAL(), nullable=True),
        sa.Column("flux_std_cgs", sa.REAL(), nullable=True),
        sa.Column("hr1", sa.REAL(), nullable=True),
        sa.Column("hr1_err", sa.REAL(), nullable=True),
        sa.Column("hr2", sa.REAL(), nullable=True),
        sa.Column("hr2_err", sa.REAL(), nullable=True),
        sa.Column("gamma", sa.REAL(), nullable=True),
        sa.Column("snr", sa.REAL(), nullable=True),
        sa.Column("det_likelihood", sa.REAL(), nullable=True),
        sa.Column("flux_ratio", sa.REAL(), nullable=True),
        sa.Column("flux_ratio_low", sa.REAL(), nullable=True),
        sa.Column("p_variable", sa.REAL(), nullable=True),
        sa.Column("p_variable_long", sa.REAL(), nullable=True),
        sa.Column("extent_arcsec", sa.REAL(), nullable=True),
        sa.Column("quality_flag", sa.Integer(), nullable=True),
        sa.CheckConstraint("dec >= -90 AND dec <= 90", name=op.f("source_dec_check")),
        sa.CheckConstraint("err_arcsec > 0 AND err_arcsec < 3600", name=op.f("source_err_arcsec_check")),
        sa.CheckConstraint(
            "err_maj_arcsec IS NULL OR err_min_arcsec > 0 AND err_maj_arcsec >= err_min_arcsec AND err_maj_arcsec < 3600",
            name=op.f("source_ellipse_check"),
        ),
        sa.CheckConstraint("p_variable >= 0 AND p_variable <= 1", name=op.f("source_p_variable_check")),
        sa.CheckConstraint("p_variable_long >= 0 AND p_variable_long <= 1", name=op.f("source_p_variable_long_check")),
        sa.CheckConstraint("ra >= 0 AND ra < 360", name=op.f("source_ra_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", name=op.f("source_pkey")),
        schema="xcat",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_index(
        "source_name_key_idx",
        "source",
        [sa.literal_column("lower(regexp_replace(name, '\\s'::text, ''::text, 'g'::text))")],
        unique=False,
        schema="xcat",
    )
    op.create_index(
        "source_q3c_idx", "source", [sa.literal_column("public.q3c_ang2ipix(ra, dec)")], unique=False, schema="xcat"
    )
    op.create_table(
        "source_detection",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False),
        sa.Column("object_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "source_id", "object_id", name=op.f("source_detection_pkey")),
        schema="xcat",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "source_identity",
        sa.Column("source_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("catalogue", sa.Text(), nullable=False),
        sa.Column("mission_source", sa.Text(collation="C"), nullable=False),
        sa.Column("first_run_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", name=op.f("source_identity_pkey")),
        sa.UniqueConstraint("catalogue", "mission_source", name=op.f("source_identity_catalogue_mission_source_key")),
        schema="xcat",
    )
    op.create_table(
        "source_link",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("other_source_id", sa.BigInteger(), nullable=False),
        sa.Column("sep_arcsec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("log_bayes_factor", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("sep_arcsec >= 0 AND sep_arcsec < 'Infinity'", name=op.f("source_link_sep_arcsec_check")),
        sa.CheckConstraint("status IN ('accepted', 'ambiguous', 'rejected')", name=op.f("source_link_status_check")),
        sa.CheckConstraint("source_id < other_source_id", name=op.f("source_link_order_check")),
        sa.PrimaryKeyConstraint("run_id", "source_id", "other_source_id", name=op.f("source_link_pkey")),
        schema="xcat",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "calibration",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=True),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("cutoff", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("is_chosen", sa.Boolean(), nullable=False),
        sa.Column("n_sources", sa.Integer(), nullable=False),
        sa.Column("n_sources_above", sa.Integer(), nullable=False),
        sa.Column("n_shifted", sa.Integer(), nullable=False),
        sa.Column("n_shifted_above", sa.Integer(), nullable=False),
        sa.Column("false_rate", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("contamination", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("density_low_per_deg2", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("density_high_per_deg2", sa.DOUBLE_PRECISION(), nullable=False),
        sa.CheckConstraint("cutoff >= 0 AND cutoff <= 1", name=op.f("calibration_cutoff_check")),
        sa.CheckConstraint("false_rate >= 0 AND false_rate <= 1", name=op.f("calibration_false_rate_check")),
        sa.ForeignKeyConstraint(
            ["catalogue_id"], ["xcat.catalogue.catalogue_id"], name=op.f("calibration_catalogue_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["xcat.run.run_id"], name=op.f("calibration_run_id_fkey"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint(
            "run_id",
            "catalogue_id",
            "part",
            "cutoff",
            "is_chosen",
            name=op.f("calibration_run_id_catalogue_id_part_cutoff_is_chosen_key"),
            postgresql_nulls_not_distinct=True,
        ),
        schema="xcat",
    )
    op.create_table(
        "catalogue_file",
        sa.Column("file_id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("n_bytes", sa.BigInteger(), nullable=False),
        sa.Column("n_rows", sa.BigInteger(), nullable=False),
        sa.Column("n_rejected", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["xcat.run.run_id"], name=op.f("catalogue_file_run_id_fkey")),
        sa.PrimaryKeyConstraint("file_id", name=op.f("catalogue_file_pkey")),
        schema="xcat",
    )
    op.create_table(
        "density_map",
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False),
        sa.Column("healpix", sa.Integer(), nullable=False),
        sa.Column("n_objects", sa.Integer(), nullable=False),
        sa.CheckConstraint("n_objects > 0", name=op.f("density_map_n_objects_check")),
        sa.ForeignKeyConstraint(
            ["catalogue_id"],
            ["xcat.catalogue.catalogue_id"],
            name=op.f("density_map_catalogue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("catalogue_id", "healpix", name=op.f("density_map_pkey")),
        schema="xcat",
    )
    op.create_table(
        "field_offset",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False),
        sa.Column("obs_id", sa.Text(collation="C"), nullable=False),
        sa.Column("n_secure", sa.Integer(), nullable=False),
        sa.Column("offset_ra_arcsec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("offset_dec_arcsec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("offset_err_arcsec", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("rotation_deg", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("rotation_err_deg", sa.DOUBLE_PRECISION(), nullable=False),
        sa.ForeignKeyConstraint(
            ["catalogue_id"], ["xcat.catalogue.catalogue_id"], name=op.f("field_offset_catalogue_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["xcat.run.run_id"], name=op.f("field_offset_run_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "catalogue_id", "obs_id", name=op.f("field_offset_pkey")),
        schema="xcat",
    )
    op.create_table(
        "magnitude_prior",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False),
        sa.Column("term", sa.Text(), nullable=False),
        sa.Column("source_kind", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("n_sources", sa.Integer(), nullable=False),
        sa.Column("bin_low", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("bin_high", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("density_counterparts", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("density_field", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("log_ratio", sa.DOUBLE_PRECISION(), nullable=False),
        sa.ForeignKeyConstraint(
            ["catalogue_id"], ["xcat.catalogue.catalogue_id"], name=op.f("magnitude_prior_catalogue_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["xcat.run.run_id"], name=op.f("magnitude_prior_run_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "run_id", "catalogue_id", "term", "source_kind", "bin_low", name=op.f("magnitude_prior_pkey")
        ),
        schema="xcat",
    )
    op.create_table(
        "master_change",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("old_master_id", sa.BigInteger(), nullable=True),
        sa.Column("new_master_id", sa.BigInteger(), nullable=True),
        sa.Column("change", sa.Text(), nullable=False),
        sa.CheckConstraint("change IN ('new', 'moved', 'marked', 'gone')", name=op.f("master_change_change_check")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["xcat.run.run_id"], name=op.f("master_change_run_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "source_id", name=op.f("master_change_pkey")),
        schema="xcat",
    )
    op.create_table(
        "model",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("weighting", sa.Text(), nullable=False),
        sa.Column("sharpness", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("smoothing", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("inverse_ridge", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("outlier_p", postgresql.ARRAY(sa.DOUBLE_PRECISION()), nullable=False),
        sa.CheckConstraint("inverse_ridge > 0 AND inverse_ridge < 'Infinity'", name=op.f("model_inverse_ridge_check")),
        sa.CheckConstraint("sharpness > 0 AND sharpness < 'Infinity'", name=op.f("model_sharpness_check")),
        sa.CheckConstraint("smoothing > 0 AND smoothing < 'Infinity'", name=op.f("model_smoothing_check")),
        sa.CheckConstraint(
            "weighting IN ('equal', 'given', 'category', 'property')", name=op.f("model_weighting_check")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["xcat.run.run_id"], name=op.f("model_run_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("model_pkey")),
        schema="xcat",
    )
    op.create_table(
        "publication",
        sa.Column("publication_id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["xcat.run.run_id"], name=op.f("publication_run_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("publication_id", name=op.f("publication_pkey")),
        schema="xcat",
    )
    op.create_index(
        "publication_one_active_idx",
        "publication",
        ["active"],
        unique=True,
        schema="xcat",
        postgresql_where=sa.text("active"),
    )
    op.create_index(op.f("publication_run_id_idx"), "publication", ["run_id"], unique=False, schema="xcat")
    op.create_table(
        "run_catalogue",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["catalogue_id"], ["xcat.catalogue.catalogue_id"], name=op.f("run_catalogue_catalogue_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["xcat.run.run_id"], name=op.f("run_catalogue_run_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "catalogue_id", name=op.f("run_catalogue_pkey")),
        schema="xcat",
    )
    op.create_index(
        op.f("run_catalogue_catalogue_id_idx"), "run_catalogue", ["catalogue_id"], unique=False, schema="xcat"
    )
    op.create_table(
        "catalogue_content",
        sa.Column("catalogue_id", sa.SmallInteger(), nullable=False),
        sa.Column("file_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["catalogue_id"],
            ["xcat.catalogue.catalogue_id"],
            name=op.f("catalogue_content_catalogue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["file_id"], ["xcat.catalogue_file.file_id"], name=op.f("catalogue_content_file_id_fkey")
        ),
        sa.PrimaryKeyConstraint("catalogue_id", "file_id", name=op.f("catalogue_content_pkey")),
        schema="xcat",
    )
    op.create_index(
        op.f("catalogue_content_file_id_idx"), "catalogue_content", ["file_id"], unique=False, schema="xcat"
    )
    op.create_table(
        "model_category",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("category_id", sa.SmallInteger(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("weight", sa.DOUBLE_PRECISION(), nullable=False),
        sa.CheckConstraint("weight >= 0 AND weight < 'Infinity'", name=op.f("model_category_weight_check")),
        sa.CheckConstraint("category_id >= 1", name=op.f("model_category_category_id_check")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["xcat.model.run_id"], name=op.f("model_category_run_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "category_id", name=op.f("model_category_pkey")),
        sa.UniqueConstraint("run_id", "category", name=op.f("model_category_run_id_category_key")),
        schema="xcat",
    )
    op.create_table(
        "model_class",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("class_id", sa.SmallInteger(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("prior", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("log_offset", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("n_reference", sa.Integer(), nullable=False),
        sa.Column("outlier_levels", postgresql.ARRAY(sa.DOUBLE_PRECISION()), nullable=False),
        sa.CheckConstraint(
            "log_offset > '-Infinity' AND log_offset < 'Infinity'", name=op.f("model_class_log_offset_check")
        ),
        sa.CheckConstraint("class_id >= 1", name=op.f("model_class_class_id_check")),
        sa.CheckConstraint("prior > 0 AND prior <= 1", name=op.f("model_class_prior_check")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["xcat.model.run_id"], name=op.f("model_class_run_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "class_id", name=op.f("model_class_pkey")),
        sa.UniqueConstraint("run_id", "class", name=op.f("model_class_run_id_class_key")),
        schema="xcat",
    )
    op.create_table(
        "reject",
        sa.Column("reject_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("file_id", sa.Integer(), nullable=False),
        sa.Column("row_number", sa.BigInteger(), nullable=False),
        sa.Column("column_name", sa.Text(), nullable=True),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["file_id"], ["xcat.catalogue_file.file_id"], name=op.f("reject_file_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("reject_id", name=op.f("reject_pkey")),
        schema="xcat",
    )
    op.create_index(op.f("reject_file_id_idx"), "reject", ["file_id"], unique=False, schema="xcat")
    op.create_table(
        "model_term",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("term_id", sa.SmallInteger(), nullable=False),
        sa.Column("term", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("is_pair", sa.Boolean(), nullable=False),
        sa.CheckConstraint("term_id >= 1", name=op.f("model_term_term_id_check")),
        sa.ForeignKeyConstraint(
            ["run_id", "category"],
            ["xcat.model_category.run_id", "xcat.model_category.category"],
            name=op.f("model_term_run_id_category_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "term_id", name=op.f("model_term_pkey")),
        sa.UniqueConstraint("run_id", "term", name=op.f("model_term_run_id_term_key")),
        schema="xcat",
    )
    op.create_table(
        "likelihood_table",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("property", sa.Text(), nullable=False),
        sa.Column("axes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("scales", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("grid", postgresql.ARRAY(sa.DOUBLE_PRECISION()), nullable=False),
        sa.Column("grid_2", postgresql.ARRAY(sa.DOUBLE_PRECISION()), nullable=True),
        sa.Column("log_density", postgresql.ARRAY(sa.DOUBLE_PRECISION()), nullable=False),
        sa.Column("log_smeared", postgresql.ARRAY(sa.DOUBLE_PRECISION()), nullable=True),
        sa.Column("log_atoms", postgresql.ARRAY(sa.DOUBLE_PRECISION()), nullable=True),
        sa.Column("log_above", postgresql.ARRAY(sa.DOUBLE_PRECISION()), nullable=True),
        sa.Column("tail_slope", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("mixing", postgresql.ARRAY(sa.DOUBLE_PRECISION()), nullable=False),
        sa.Column("log_present", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("log_missing", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("bandwidth", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("typical_error", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("n_present", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("error_column", sa.Text(), nullable=True),
        sa.Column("limit_column", sa.Text(), nullable=True),
        sa.Column("observed_column", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "'Infinity' > ALL (mixing) AND '-Infinity' < ALL (mixing)", name=op.f("likelihood_table_mixing_check")
        ),
        sa.CheckConstraint(
            "tail_slope >= 0 AND tail_slope < 'Infinity'", name=op.f("likelihood_table_tail_slope_check")
        ),
        sa.CheckConstraint(
            "cardinality(axes) = cardinality(scales) AND cardinality(axes) IN (1, 2)",
            name=op.f("likelihood_table_axes_check"),
        ),
        sa.CheckConstraint("log_present <= 0 AND log_missing <= 0", name=op.f("likelihood_table_presence_check")),
        sa.ForeignKeyConstraint(
            ["run_id", "class"],
            ["xcat.model_class.run_id", "xcat.model_class.class"],
            name=op.f("likelihood_table_run_id_class_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["run_id", "property"],
            ["xcat.model_term.run_id", "xcat.model_term.term"],
            name=op.f("likelihood_table_run_id_property_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "property", "class", name=op.f("likelihood_table_pkey")),
        schema="xcat",
    )


def downgrade() -> None:
    op.drop_table("likelihood_table", schema="xcat")
    op.drop_table("model_term", schema="xcat")
    op.drop_index(op.f("reject_file_id_idx"), table_name="reject", schema="xcat")
    op.drop_table("reject", schema="xcat")
    op.drop_table("model_class", schema="xcat")
    op.drop_table("model_category", schema="xcat")
    op.drop_index(op.f("catalogue_content_file_id_idx"), table_name="catalogue_content", schema="xcat")
    op.drop_table("catalogue_content", schema="xcat")
    op.drop_index(op.f("run_catalogue_catalogue_id_idx"), table_name="run_catalogue", schema="xcat")
    op.drop_table("run_catalogue", schema="xcat")
    op.drop_index(op.f("publication_run_id_idx"), table_name="publication", schema="xcat")
    op.drop_index(
        "publication_one_active_idx", table_name="publication", schema="xcat", postgresql_where=sa.text("active")
    )
    op.drop_table("publication", schema="xcat")
    op.drop_table("model", schema="xcat")
    op.drop_table("master_change", schema="xcat")
    op.drop_table("magnitude_prior", schema="xcat")
    op.drop_table("field_offset", schema="xcat")
    op.drop_table("density_map", schema="xcat")
    op.drop_table("catalogue_file", schema="xcat")
    op.drop_table("calibration", schema="xcat")
    op.drop_table("source_link", schema="xcat")
    op.drop_table("source_identity", schema="xcat")
    op.drop_table("source_detection", schema="xcat")
    op.drop_index("source_q3c_idx", table_name="source", schema="xcat")
    op.drop_index("source_name_key_idx", table_name="source", schema="xcat")
    op.drop_table("source", schema="xcat")
    op.drop_index(op.f("run_config_key_idx"), table_name="run", schema="xcat")
    op.drop_table("run", schema="xcat")
    op.drop_index("reference_object_q3c_idx", table_name="reference_object", schema="xcat")
    op.drop_table("reference_object", schema="xcat")
    op.drop_table("property", schema="xcat")
    op.drop_table("out_of_fold", schema="xcat")
    op.drop_table("match_candidate", schema="xcat")
    op.drop_table("match", schema="xcat")
    op.drop_index(op.f("master_source_master_id_idx"), table_name="master_source", schema="xcat")
    op.drop_table("master_source", schema="xcat")
    op.drop_table("master_identity", schema="xcat")
    op.drop_index("master_q3c_idx", table_name="master", schema="xcat")
    op.drop_table("master", schema="xcat")
    op.drop_table("label", schema="xcat")
    op.drop_table("hypothesis_property", schema="xcat")
    op.drop_table("hypothesis", schema="xcat")
    op.drop_index("galaxy_q3c_idx", table_name="galaxy", schema="xcat")
    op.drop_table("galaxy", schema="xcat")
    op.drop_table("evaluation", schema="xcat")
    op.drop_table("dropped_table", schema="xcat")
    op.drop_index("detection_q3c_idx", table_name="detection", schema="xcat")
    op.drop_table("detection", schema="xcat")
    op.drop_index("counterpart_q3c_idx", table_name="counterpart", schema="xcat")
    op.drop_table("counterpart", schema="xcat")
    op.drop_table("classification", schema="xcat")
    op.drop_index(
        "catalogue_one_current_idx", table_name="catalogue", schema="xcat", postgresql_where=sa.text("is_current")
    )
    op.drop_table("catalogue", schema="xcat")
    op.drop_index(
        "ulx_candidates_runs_source_id_idx", table_name="ulx_candidates_runs", schema="pub", postgresql_using="hash"
    )
    op.drop_index("ulx_candidates_runs_q3c_idx", table_name="ulx_candidates_runs", schema="pub")
    op.drop_table("ulx_candidates_runs", schema="pub")
    op.drop_index(
        "source_evidence_runs_source_id_idx", table_name="source_evidence_runs", schema="pub", postgresql_using="hash"
    )
    op.drop_table("source_evidence_runs", schema="pub")
    op.drop_index(
        "master_sources_runs_source_id_idx", table_name="master_sources_runs", schema="pub", postgresql_using="hash"
    )
    op.drop_index("master_sources_runs_q3c_idx", table_name="master_sources_runs", schema="pub")
    op.drop_index(
        "master_sources_runs_master_id_idx", table_name="master_sources_runs", schema="pub", postgresql_using="hash"
    )
    op.drop_table("master_sources_runs", schema="pub")
    op.drop_index("hypotheses_runs_source_id_idx", table_name="hypotheses_runs", schema="pub", postgresql_using="hash")
    op.drop_table("hypotheses_runs", schema="pub")
    op.drop_index(
        "counterparts_runs_source_id_idx", table_name="counterparts_runs", schema="pub", postgresql_using="hash"
    )
    op.drop_index("counterparts_runs_q3c_idx", table_name="counterparts_runs", schema="pub")
    op.drop_index(
        "counterparts_runs_native_id_idx", table_name="counterparts_runs", schema="pub", postgresql_using="hash"
    )
    op.drop_table("counterparts_runs", schema="pub")
    op.drop_index("classified_runs_source_id_idx", table_name="classified_runs", schema="pub", postgresql_using="hash")
    op.drop_index("classified_runs_q3c_idx", table_name="classified_runs", schema="pub")
    op.drop_index("classified_runs_name_key_idx", table_name="classified_runs", schema="pub", postgresql_using="hash")
    op.drop_index("classified_runs_name_idx", table_name="classified_runs", schema="pub", postgresql_using="hash")
    op.drop_index("classified_runs_hpx29_idx", table_name="classified_runs", schema="pub")
    op.drop_index("classified_runs_class_p_class_idx", table_name="classified_runs", schema="pub")
    op.drop_table("classified_runs", schema="pub")
