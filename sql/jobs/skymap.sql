-- name: sources_in
-- Sources in ranges of HEALPix cells of order 29, which do not overlap. Those of one cell are in an order that depends
-- on the data alone. LATERAL and OFFSET have the index read once per range: for a plain join the planner takes every
-- range for a ninth of the table, and with thousands of ranges compares every source with every one.
SELECT s.source_id, s.hpx29, s.ra, s.dec
FROM unnest(%(first)s::bigint[], %(last)s::bigint[]) AS r (first, last)
CROSS JOIN LATERAL (
    SELECT s.source_id, s.hpx29, s.ra, s.dec FROM {classified} AS s
    WHERE s.hpx29 BETWEEN r.first AND r.last AND {condition}
    ORDER BY s.hpx29, s.catalogue COLLATE "C", s.name COLLATE "C" OFFSET 0) AS s;

-- name: all
-- Every source.
true;

-- name: of_class
-- Sources whose most probable class is this one.
s.class = %(class)s;

-- name: at_least
-- Sources with a probability, of their own class or of one that is named, from a least one on.
s.{p} >= %(min_probability)s;

-- name: rows
-- Some sources in the order of the list. The distance of the galaxy whose D25 ellipse a source is in is the one with
-- which its luminosity was computed.
SELECT s.source_id, s.name, s.ra, s.dec, s.class, s.p_class, {of_class} s.margin, s.outlier, s.is_outlier, s.p_variable,
       s.log_flux_ratio, s.log_flux_ratio_low, s.flux_ratio_sigma, s.flux_cgs, s.flux_err_cgs,
       CASE WHEN s.sep_to_radius <= 1 AND s.flux_std_cgs > 0
            THEN sqrt(10 ^ s.log_lx_galaxy::double precision / (4 * pi() * s.flux_std_cgs)) / %(cm_in_mpc)s
       END AS host_distance_mpc, s.sep_to_radius, s.known_class, s.alternative, s.n_missing, s.catalogue, s.err_arcsec,
       s.n_detections, s.mjd_last, s.is_best_of_master, s.n_missions, s.missions_agree, s.other_missions, s.master_id,
       s.optical_catalogue, s.optical_native_id, s.infrared_catalogue, s.infrared_native_id, s.run_id
FROM unnest(%(source_ids)s::bigint[]) WITH ORDINALITY AS i (source_id, place)
JOIN {classified} AS s USING (source_id)
ORDER BY i.place;
