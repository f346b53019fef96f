-- Galactic coordinates from ICRS, in degrees.
-- The pole and the node are those of Hipparcos (ESA SP-1200, vol. 1, 1.5.3): RA 192.85948, Dec 27.12825, l 32.93192.

-- Galactic latitude of an ICRS position, all in degrees
CREATE FUNCTION xcat.glat(ra_deg double precision, dec_deg double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT asind(least(1, greatest(-1,
        sind(dec_deg) * sind(27.12825) + cosd(dec_deg) * cosd(27.12825) * cosd(ra_deg - 192.85948))))
$$;

-- Galactic longitude of an ICRS position, all in degrees
CREATE FUNCTION xcat.glon(ra_deg double precision, dec_deg double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT mod((122.93192 + 720 - atan2d(
        cosd(dec_deg) * sind(ra_deg - 192.85948),
        sind(dec_deg) * cosd(27.12825) - cosd(dec_deg) * sind(27.12825) * cosd(ra_deg - 192.85948)))::numeric, 360
    )::double precision
$$;
