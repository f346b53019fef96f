-- Light curves and spectra of sources: those of the files that the current version of the products holds.

-- Light curves and spectra of sources, with the variability that was found in each
CREATE VIEW pub.products AS
SELECT p.product_id, p.source_id, p.name, p.product_kind, p.mission, p.instrument, p.obs_id, p.energy_low_kev,
       p.energy_high_kev, p.mjd_first, p.mjd_last, p.exposure_s, p.n_bins, p.n_counts, p.n_blocks, p.rate_low_cps,
       p.rate_high_cps, p.excess_variance, p.excess_variance_err, p.bin_s, p.assigned_by, f.file_name
FROM xcat.product AS p
JOIN xcat.catalogue_file AS f USING (file_id)
WHERE EXISTS (SELECT FROM xcat.catalogue_content AS c JOIN xcat.catalogue AS k USING (catalogue_id)
              WHERE c.file_id = p.file_id AND k.is_current);

-- Count rates over time, one row per bin of every light curve
CREATE VIEW pub.light_curve AS
SELECT p.source_id, p.name, p.mission, coalesce(b.obs_id, p.obs_id) AS obs_id, b.time_mjd, b.width_s, b.exposure_s,
       b.rate_cps, b.rate_err_low_cps, b.rate_err_high_cps, b.is_limit, b.is_doubtful, p.energy_low_kev,
       p.energy_high_kev, p.product_id, b.row_number
FROM pub.products AS p
JOIN xcat.light_curve_bin AS b USING (product_id);

-- Stretches of light curves in which the rate is constant as far as one can tell (Bayesian blocks)
CREATE VIEW pub.light_curve_blocks AS
SELECT p.source_id, p.name, p.mission, p.obs_id, b.block, b.mjd_low, b.mjd_high, b.rate_cps, b.rate_err_cps,
       p.product_id
FROM pub.products AS p
JOIN xcat.light_curve_block AS b USING (product_id);

-- Counts by energy, one row per bin of every spectrum
CREATE VIEW pub.spectrum AS
SELECT p.source_id, p.name, p.mission, p.obs_id, b.bin, b.energy_low_kev, b.energy_high_kev, b.n_counts,
       b.n_background_counts, b.rate_per_kev_cps, b.rate_per_kev_err_cps, b.folded_per_kev_cps, p.product_id
FROM pub.products AS p
JOIN xcat.spectrum_bin AS b USING (product_id);
