-- name: neighbours
-- Which sources that are classified differently lie within half a degree of each other?
SELECT a.name, b.name AS other_name, DISTANCE(a.ra, a.dec, b.ra, b.dec) * 3600 AS sep_arcsec, a.class,
       b.class AS other_class
FROM pub.classified AS a
JOIN pub.classified AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.5
WHERE a.class <> b.class AND a.source_id < b.source_id
ORDER BY sep_arcsec
