-- Regions on the sphere, for ADQL. A polygon is an array of degrees, ra, dec, ra, dec, ...; its edges are the shorter
-- arcs of great circles, its vertices go around in either direction, and it is smaller than a hemisphere. What is
-- closer to a border than 1e-9 degrees is on it: there the numbers are rounded.

-- The edges of a polygon: start a and end b, unit normal n of the great circle; the same in every row, the sum c of the
-- vertices, and f at right angles to it, which is outside. An error if it is no polygon
CREATE FUNCTION pub.polygon_edges(polygon double precision[])
RETURNS TABLE (ax double precision, ay double precision, az double precision,
               bx double precision, by double precision, bz double precision,
               nx double precision, ny double precision, nz double precision,
               cx double precision, cy double precision, cz double precision,
               fx double precision, fy double precision, fz double precision)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE ROWS 5
AS $$
DECLARE
    n_edges integer;
BEGIN
    RETURN QUERY
    WITH vertex AS (
        SELECT i, cosd(polygon[i + 1]) * cosd(polygon[i]) AS x, cosd(polygon[i + 1]) * sind(polygon[i]) AS y,
               sind(polygon[i + 1]) AS z
        FROM generate_series(1, cardinality(polygon) - 1, 2) AS i
        WHERE cardinality(polygon) % 2 = 0 AND abs(polygon[i + 1]) <= 90
    ),
    side AS (
        SELECT v.x, v.y, v.z, coalesce(lead(v.x) OVER w, first_value(v.x) OVER w) AS x2,
               coalesce(lead(v.y) OVER w, first_value(v.y) OVER w) AS y2,
               coalesce(lead(v.z) OVER w, first_value(v.z) OVER w) AS z2
        FROM vertex AS v
        WINDOW w AS (ORDER BY v.i)
    ),
    edge AS (
        SELECT s.*, s.y * s.z2 - s.z * s.y2 AS mx, s.z * s.x2 - s.x * s.z2 AS my, s.x * s.y2 - s.y * s.x2 AS mz,
               sum(s.x) OVER () AS sx, sum(s.y) OVER () AS sy, sum(s.z) OVER () AS sz
        FROM side AS s
        WHERE (s.x - s.x2) ^ 2 + (s.y - s.y2) ^ 2 + (s.z - s.z2) ^ 2 > 1e-28  -- a vertex may be there twice
    ),
    measured AS (
        SELECT e.*, sqrt(e.mx ^ 2 + e.my ^ 2 + e.mz ^ 2) AS length, abs(e.sz) > abs(e.sx) + abs(e.sy) AS is_polar,
               min(e.x * e.sx + e.y * e.sy + e.z * e.sz) OVER () / sqrt(e.sx ^ 2 + e.sy ^ 2 + e.sz ^ 2) AS lowest,
               count(*) OVER () AS n
        FROM edge AS e
        WHERE e.sx ^ 2 + e.sy ^ 2 + e.sz ^ 2 > 1e-12
    )
    SELECT m.x, m.y, m.z, m.x2, m.y2, m.z2, m.mx / m.length, m.my / m.length, m.mz / m.length, m.sx, m.sy, m.sz,
           CASE WHEN m.is_polar THEN 0 ELSE m.sy END, CASE WHEN m.is_polar THEN m.sz ELSE - m.sx END,
           CASE WHEN m.is_polar THEN - m.sy ELSE 0 END
    FROM measured AS m
    WHERE m.n > 2 AND m.lowest >= cosd(89) AND m.length > 0;
    GET DIAGNOSTICS n_edges = ROW_COUNT;
    IF n_edges < 3 THEN
        RAISE EXCEPTION 'a polygon is ra, dec, ra, dec, ... of three different vertices or more, smaller than a hemisphere'
            USING ERRCODE = 'data_exception';
    END IF;
END
$$;

-- How deep a direction (x, y, z, a unit vector) is in a polygon: its distance from the border in degrees, negative
-- outside. It is inside if the half great circle from it towards f crosses an odd number of edges
CREATE FUNCTION pub.polygon_depth(polygon double precision[], x double precision, y double precision,
                                  z double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT min(d.away) * CASE WHEN count(*) FILTER (WHERE d.crosses) % 2 = 1 THEN 1 ELSE -1 END
    FROM (
        SELECT s.front AND s.a_above <> s.b_above AND (s.height > 0) = s.b_above AS crosses,
               degrees(CASE
                   -- within the ends of the edge its great circle is nearest, beyond them a vertex
                   WHEN (e.ny * e.az - e.nz * e.ay) * x + (e.nz * e.ax - e.nx * e.az) * y
                        + (e.nx * e.ay - e.ny * e.ax) * z >= 0
                    AND (e.ny * e.bz - e.nz * e.by) * x + (e.nz * e.bx - e.nx * e.bz) * y
                        + (e.nx * e.by - e.ny * e.bx) * z <= 0
                   THEN asin(least(1, abs(s.height)))
                   ELSE 2 * asin(least(1, sqrt(least((x - e.ax) ^ 2 + (y - e.ay) ^ 2 + (z - e.az) ^ 2,
                                                     (x - e.bx) ^ 2 + (y - e.by) ^ 2 + (z - e.bz) ^ 2)) / 2))
               END) AS away
        FROM pub.polygon_edges(polygon) AS e
        CROSS JOIN LATERAL (SELECT y * e.fz - z * e.fy, z * e.fx - x * e.fz, x * e.fy - y * e.fx) AS m (u, v, w)
        CROSS JOIN LATERAL (
            SELECT m.u * e.ax + m.v * e.ay + m.w * e.az > 0, m.u * e.bx + m.v * e.by + m.w * e.bz > 0,
                   e.nx * x + e.ny * y + e.nz * z, e.cx * x + e.cy * y + e.cz * z > 0
        ) AS s (a_above, b_above, height, front)) AS d
$$;

-- Whether an edge of one polygon crosses an edge of the other, each of their ends farther from the other's great circle
-- than a tolerance (sine of the angle)
CREATE FUNCTION pub.polygons_cross(polygon double precision[], other double precision[], tolerance double precision)
RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT EXISTS (
        SELECT FROM pub.polygon_edges(polygon) AS e
        CROSS JOIN pub.polygon_edges(other) AS o
        CROSS JOIN LATERAL (
            SELECT - (e.nx * o.ax + e.ny * o.ay + e.nz * o.az), e.nx * o.bx + e.ny * o.by + e.nz * o.bz,
                   o.nx * e.ax + o.ny * e.ay + o.nz * e.az, - (o.nx * e.bx + o.ny * e.by + o.nz * e.bz)
        ) AS s (a, b, c, d)
        -- on the sphere all four must turn the same way, else the circles cross on the far side
        WHERE least(s.a, s.b, s.c, s.d) > tolerance OR greatest(s.a, s.b, s.c, s.d) < - tolerance)
$$;

-- Whether two polygons have a point in common
CREATE FUNCTION pub.polygons_meet(polygon double precision[], other double precision[])
RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT pub.polygons_cross(polygon, other, 0)
        OR EXISTS (SELECT FROM pub.polygon_edges(polygon) AS e WHERE pub.polygon_depth(other, e.ax, e.ay, e.az) > -1e-9)
        OR EXISTS (SELECT FROM pub.polygon_edges(other) AS e WHERE pub.polygon_depth(polygon, e.ax, e.ay, e.az) > -1e-9)
$$;

-- Whether the second polygon holds the first: no edge crosses one of the other, no vertex and no middle of an edge is
-- outside, and no vertex of the second is inside the first
CREATE FUNCTION pub.polygon_within(polygon double precision[], other double precision[])
RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT NOT pub.polygons_cross(polygon, other, radians(1e-9))
       AND NOT EXISTS (
           SELECT FROM pub.polygon_edges(polygon) AS e
           CROSS JOIN LATERAL (VALUES (e.ax, e.ay, e.az), (e.ax + e.bx, e.ay + e.by, e.az + e.bz)) AS p (x, y, z)
           CROSS JOIN LATERAL (SELECT sqrt(p.x ^ 2 + p.y ^ 2 + p.z ^ 2)) AS l (length)
           WHERE pub.polygon_depth(other, p.x / l.length, p.y / l.length, p.z / l.length) < -1e-9)
       AND NOT EXISTS (
           SELECT FROM pub.polygon_edges(other) AS e WHERE pub.polygon_depth(polygon, e.ax, e.ay, e.az) > 1e-9)
$$;

-- The polygon of a box: its sides are great circles at right angles to the arms of a cross around its centre (deg)
CREATE FUNCTION pub.box_polygon(ra double precision, "dec" double precision, width double precision,
                                height double precision)
RETURNS double precision[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT array_agg(coordinate ORDER BY c.place, v.place)
    FROM (VALUES (1, -1, -1), (2, 1, -1), (3, 1, 1), (4, -1, 1)) AS c (place, u, v)
    CROSS JOIN LATERAL (SELECT c.u * tand(width / 2), c.v * tand(height / 2)) AS t (u, v)
    CROSS JOIN LATERAL (
        SELECT cosd("dec") * cosd(ra) - t.u * sind(ra) - t.v * sind("dec") * cosd(ra),
               cosd("dec") * sind(ra) + t.u * cosd(ra) - t.v * sind("dec") * sind(ra), sind("dec") + t.v * cosd("dec")
    ) AS p (x, y, z)
    CROSS JOIN LATERAL (VALUES (1, atan2d(p.y, p.x)), (2, atan2d(p.z, sqrt(p.x ^ 2 + p.y ^ 2)))) AS v (place, coordinate)
    WHERE width >= 0 AND width <= 178 AND height >= 0 AND height <= 178 AND abs("dec") <= 90
$$;
