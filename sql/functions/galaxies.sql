-- Sources in nearby galaxies: where in the ellipse they are, and how many background AGN to expect there.

-- The radius of the ellipse in the direction of the source is a b / sqrt((b cos d)^2 + (a sin d)^2), d from the major
-- axis. An unknown axis ratio counts as round. Angles east of north.

-- Separation from a galaxy's centre over the radius of its D25 ellipse in that direction: ra, dec of source and galaxy
-- in deg, D25 in arcmin, axis ratio, position angle in deg
CREATE FUNCTION xcat.sep_to_radius(
    ra_deg double precision, dec_deg double precision, galaxy_ra_deg double precision, galaxy_dec_deg double precision,
    d25_arcmin double precision, axis_ratio double precision, pa_deg double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT public.q3c_dist(ra_deg, dec_deg, galaxy_ra_deg, galaxy_dec_deg) * 3600
           * sqrt(cosd(e.delta) ^ 2 + (sind(e.delta) / coalesce(axis_ratio, 1)) ^ 2) / (d25_arcmin * 30)
    FROM (SELECT atan2d(sind(ra_deg - galaxy_ra_deg) * cosd(dec_deg),
                        cosd(galaxy_dec_deg) * sind(dec_deg)
                        - sind(galaxy_dec_deg) * cosd(dec_deg) * cosd(ra_deg - galaxy_ra_deg))
                 - coalesce(pa_deg, 0) AS delta) AS e
$$;

-- Moretti et al. 2003, ApJ 588, 696, eq. 2 with the hard-band values of their table 3: for the flux S in 2-10 keV
--   N(> S) = 5300 (2e-15)^1.57 / (S^1.57 + S0^(1.57 - 0.44) S^0.44) per square degree,   S0 = 4.5e-15 erg / (s cm2).
-- The hard band, since the galaxy in front absorbs the soft one. The flux in 0.2-12 keV is converted with the power law
-- of photon index 1.7 that gave it: (10^0.3 - 2^0.3) / (12^0.3 - 0.2^0.3) = 0.513.

-- Background AGN per square degree that are brighter than a flux in 0.2-12 keV, erg / (s cm2)
CREATE FUNCTION xcat.agn_per_deg2(flux_std_cgs double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    -- as double precision: numeric powers of such small numbers keep one digit
    SELECT 5300 * 2e-15::double precision ^ 1.57 / (s ^ 1.57 + 4.5e-15::double precision ^ 1.13 * s ^ 0.44)
    FROM (SELECT flux_std_cgs * (10 ^ 0.3 - 2 ^ 0.3) / (12 ^ 0.3 - 0.2 ^ 0.3) AS s) AS hard
$$;
