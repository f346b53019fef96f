-- Light curves and spectra of sources: whose they are, and what is kept of them.

-- name: named
-- Published sources with a name or a number; blanks and case do not matter.
SELECT source_id, name, ra, dec, master_id, catalogue, 0::double precision AS sep_arcsec
FROM pub.classified
WHERE lower(regexp_replace(name, '\s', '', 'g')) = %(key)s OR source_id = %(number)s
ORDER BY source_id;

-- name: around
-- Published sources around a position, the nearest first.
WITH near AS MATERIALIZED (
    SELECT s.source_id, s.name, s.ra, s.dec, s.master_id, s.catalogue FROM pub.classified AS s
    WHERE pub.in_cone(s.ra, s.dec, %(ra)s, %(dec)s, %(radius_deg)s)
)
SELECT source_id, name, ra, dec, master_id, catalogue,
       public.q3c_dist(ra, dec, %(ra)s::double precision, %(dec)s::double precision) * 3600 AS sep_arcsec
FROM near
ORDER BY sep_arcsec, source_id
LIMIT 20;

-- name: files
-- Files of the current version: their checksums, and whether they gave anything.
SELECT f.file_id, f.sha256, f.n_rows > 0 AS is_used
FROM xcat.catalogue AS k
JOIN xcat.catalogue_content AS c USING (catalogue_id)
JOIN xcat.catalogue_file AS f USING (file_id)
WHERE k.name = %(name)s AND k.is_current;

-- name: leave_out
-- Take files out of a version.
DELETE FROM xcat.catalogue_content WHERE catalogue_id = %(catalogue_id)s AND file_id = ANY (%(file_ids)s);

-- name: put_in
-- Let a version hold files that are loaded.
INSERT INTO xcat.catalogue_content (catalogue_id, file_id)
SELECT %(catalogue_id)s, unnest(%(file_ids)s::integer[])
ON CONFLICT DO NOTHING;

-- name: add
-- A light curve or spectrum of a source.
INSERT INTO xcat.product (file_id, product_kind, source_id, name, assigned_by, mission, instrument, obs_id,
                          energy_low_kev, energy_high_kev, mjd_first, mjd_last, exposure_s, n_bins, n_counts, n_blocks,
                          rate_low_cps, rate_high_cps, excess_variance, excess_variance_err, bin_s)
VALUES (%(file_id)s, %(product_kind)s, %(source_id)s, %(name)s, %(assigned_by)s, %(mission)s, %(instrument)s,
        %(obs_id)s, %(energy_low_kev)s, %(energy_high_kev)s, %(mjd_first)s, %(mjd_last)s, %(exposure_s)s, %(n_bins)s,
        %(n_counts)s, %(n_blocks)s, %(rate_low_cps)s, %(rate_high_cps)s, %(excess_variance)s, %(excess_variance_err)s,
        %(bin_s)s)
RETURNING product_id;

-- name: of_source
-- Light curves and spectra of sources, the earliest first.
SELECT * FROM pub.products WHERE source_id = ANY (%(source_ids)s)
ORDER BY product_kind, mjd_first NULLS LAST, mission, energy_low_kev, product_id
LIMIT %(most)s;

-- name: curve
-- The bins of light curves.
SELECT product_id, time_mjd, width_s, rate_cps, rate_err_low_cps, rate_err_high_cps, is_limit, is_doubtful, obs_id
FROM pub.light_curve WHERE product_id = ANY (%(product_ids)s)
ORDER BY product_id, time_mjd, row_number;

-- name: blocks
-- The blocks of light curves.
SELECT product_id, block, mjd_low, mjd_high, rate_cps, rate_err_cps FROM pub.light_curve_blocks
WHERE product_id = ANY (%(product_ids)s) ORDER BY product_id, block;

-- name: spectrum
-- The bins of spectra.
SELECT product_id, bin, energy_low_kev, energy_high_kev, n_counts, n_background_counts, rate_per_kev_cps,
       rate_per_kev_err_cps, folded_per_kev_cps
FROM pub.spectrum WHERE product_id = ANY (%(product_ids)s) ORDER BY product_id, bin;
