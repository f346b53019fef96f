-- The position part of an IAU designation, JHHMMSS.s+DDMMSS: truncated, not rounded, as the IAU asks.

-- Position part of an IAU designation, JHHMMSS.s+DDMMSS
CREATE FUNCTION xcat.iau_name(ra_deg double precision, dec_deg double precision)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT 'J' || lpad((t.tenths / 36000)::text, 2, '0') || lpad((t.tenths / 600 % 60)::text, 2, '0')
               || lpad((t.tenths / 10 % 60)::text, 2, '0') || '.' || (t.tenths % 10)::text
               || CASE WHEN dec_deg < 0 THEN '-' ELSE '+' END
               || lpad((t.arcsec / 3600)::text, 2, '0') || lpad((t.arcsec / 60 % 60)::text, 2, '0')
               || lpad((t.arcsec % 60)::text, 2, '0')
    FROM (SELECT floor(ra_deg * 2400)::bigint AS tenths, floor(abs(dec_deg) * 3600)::bigint AS arcsec) AS t
$$;
