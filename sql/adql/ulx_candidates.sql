-- name: ulx_candidates
-- Which objects are ultraluminous X-ray sources? Off-nuclear, well detected, point-like, not known as something else,
-- and less likely to be an AGN behind the galaxy than to be an X-ray binary (Tranin et al. 2024, A&A 681, A16).
-- Luminosities in erg / s, at the distance of the galaxy.
SELECT name, ra, dec, galaxy, distance_mpc, sep_to_radius, log_lx_galaxy, is_hyperluminous, snr, p_xrb, p_contaminant,
       n_background, n_as_bright
FROM pub.ulx_candidates
WHERE snr > 3
  AND p_xrb > p_contaminant
  AND COALESCE(extent_arcsec, 0) = 0
  AND COALESCE(known_class_of_master, 'XRB') = 'XRB'
ORDER BY log_lx_galaxy DESC
