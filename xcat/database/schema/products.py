"""What time and energy resolve of a source: light curves and spectra, as their files give them.

The rows belong to files, and a version of the products is a set of files, so a new version copies none of them.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint

from xcat.database.schema.parts import book, numbered, one_of, part_of

product = book(
    "product",
    "Light curves and spectra of sources, each with its file, and the variability found in it",
    numbered("product_id"),
    part_of("file_id", "catalogue_file"),
    *one_of("product_kind", "light_curve spectrum"),
    "source_id name assigned_by mission instrument? obs_id? energy_low_kev? energy_high_kev? mjd_first? mjd_last?",
    "exposure_s? n_bins n_counts? n_blocks? rate_low_cps? rate_high_cps? excess_variance? excess_variance_err? bin_s?",
    Index(None, "file_id"),
    Index(None, "source_id"),
)

light_curve_bin = book(
    "light_curve_bin",
    "Count rates over time",
    part_of("product_id", "product"),
    "row_number time_mjd width_s exposure_s? rate_cps rate_err_low_cps? rate_err_high_cps? obs_id? is_limit",
    "is_doubtful",
    PrimaryKeyConstraint("product_id", "row_number"),
    CheckConstraint("time_mjd > 0 AND time_mjd < 'Infinity' AND width_s >= 0 AND width_s < 'Infinity'", name="time"),
    CheckConstraint("rate_cps > '-Infinity' AND rate_cps < 'Infinity'", name="rate"),
)

light_curve_block = book(
    "light_curve_block",
    "Stretches of a light curve in which the rate is constant as far as one can tell (Bayesian blocks)",
    part_of("product_id", "product"),
    "block mjd_low mjd_high rate_cps rate_err_cps?",
    PrimaryKeyConstraint("product_id", "block"),
    CheckConstraint("mjd_high >= mjd_low AND mjd_high < 'Infinity'", name="time"),
)

spectrum_bin = book(
    "spectrum_bin",
    "Counts of a spectrum by energy, channels grouped",
    part_of("product_id", "product"),
    "bin energy_low_kev energy_high_kev n_counts n_background_counts? rate_per_kev_cps rate_per_kev_err_cps?",
    "folded_per_kev_cps?",
    PrimaryKeyConstraint("product_id", "bin"),
    CheckConstraint("energy_low_kev >= 0 AND energy_high_kev > energy_low_kev", name="energy"),
    CheckConstraint("n_counts >= 0 AND n_counts < 'Infinity'", name="counts"),
)
