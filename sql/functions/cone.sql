-- Cones, for queries of the published tables and of ours. Joins by position are written in sql/jobs/joins.sql.

-- Whether a position is less than radius_deg away from another, all in degrees, found by the q3c index of ra and dec.
-- It is the only condition on the position; the radius is a number, not a column. Up to half a degree the index is
-- asked for the four cells that hold the cone, as in a join: q3c_radial_query has a hundred finer ranges, each planned
-- anew in every query, and that takes ten times as long as such a cone. Versions of q3c before 2.0.5 find too few
-- beyond twenty degrees. Callers that include the border search a little farther: so do the limits
CREATE FUNCTION pub.in_cone(ra double precision, "dec" double precision, centre_ra double precision,
                            centre_dec double precision, radius_deg double precision)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN radius_deg <= 0 THEN false
                WHEN radius_deg < 0.501 THEN public.q3c_join(centre_ra, centre_dec, ra, "dec", radius_deg)
                WHEN radius_deg < 20.001 THEN public.q3c_radial_query(ra, "dec", centre_ra, centre_dec, radius_deg)
                -- NaN is greater than any number
                ELSE radius_deg < 'NaN' AND public.q3c_dist(ra, "dec", centre_ra, centre_dec) < radius_deg END
$$;
