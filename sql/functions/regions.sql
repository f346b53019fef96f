-- Regions on the sphere, for ADQL. A polygon is an array of degrees, ra, dec, ra, dec, ...; its edges are the shorter
-- arcs of great circles, its vertices go around in either direction, and it is smaller than a hemisphere. What is
-- closer to a border than 1e-9 degrees is on it: there the numbers are rounded.

-- A polygon as unit vectors, x, y, z, x, y, z, ...: the sum of the vertices, a direction at right angles to it that is
-- outside, then the vertices, the first again at the end; each once. An error if it is no polygon
CREATE FUNCTION pub.polygon_vectors(polygon double precision[])
RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS $$
DECLARE
    n CONSTANT integer := cardinality(polygon);
    made double precision[] := '{0,0,0,0,0,0}';
    size integer := 6;
    c double precision[];
    length double precision;
    x double precision; y double precision; z double precision;
BEGIN
    FOR i IN 1 .. CASE WHEN n % 2 = 0 THEN n ELSE 0 END BY 2 LOOP
        x := cosd(polygon[i + 1]) * cosd(polygon[i]);
        y := cosd(polygon[i + 1]) * sind(polygon[i]);
        z := sind(polygon[i + 1]);
        -- NaN is greater than any number
        IF NOT abs(polygon[i + 1]) <= 90 OR NOT x <= 1 THEN
            size := 0;
            EXIT;
        END IF;
        -- a vertex may be there twice, as the first one is at the end of a closed polygon
        IF size = 6 OR (x - made[size - 2]) ^ 2 + (y - made[size - 1]) ^ 2 + (z - made[size]) ^ 2 > 1e-28 THEN
            made := made || ARRAY[x, y, z];
            size := size + 3;
        END IF;
    END LOOP;
    IF size > 9 AND (made[7] - made[size - 2]) ^ 2 + (made[8] - made[size - 1]) ^ 2 + (made[9] - made[size]) ^ 2 < 1e-28
    THEN
        made := made[1 : size - 3];
        size := size - 3;
    END IF;
    c := '{0,0,0}';
    FOR i IN 7 .. size BY 3 LOOP
        c := ARRAY[c[1] + made[i], c[2] + made[i + 1], c[3] + made[i + 2]];
    END LOOP;
    length := sqrt(c[1] ^ 2 + c[2] ^ 2 + c[3] ^ 2);
    FOR i IN 7 .. size BY 3 LOOP
        IF length < 1e-6 OR made[i] * c[1] + made[i + 1] * c[2] + made[i + 2] * c[3] < cosd(89) * length THEN
            size := 0;
            EXIT;
        END IF;
    END LOOP;
    IF size < 15 THEN
        RAISE EXCEPTION 'a polygon is ra, dec, ra, dec, ... of three different vertices or more, in a hemisphere'
            USING ERRCODE = 'data_exception';
    END IF;
    made[1 : 6] := c || CASE WHEN abs(c[3]) > abs(c[1]) + abs(c[2]) THEN ARRAY[0, c[3], - c[2]]
                             ELSE ARRAY[c[2], - c[1], 0] END;
    RETURN made || made[7 : 9];
END
$$;

-- How deep a direction (x, y, z, a unit vector) is in a polygon, whose unit vectors are given: its distance from the
-- border in degrees, negative outside. It is inside if the great circle from it towards what is outside crosses an odd
-- number of edges
CREATE FUNCTION pub.depth_in(vectors double precision[], x double precision, y double precision, z double precision)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS $$
DECLARE
    size CONSTANT integer := cardinality(vectors);
    -- above is what is on this side of that great circle
    up_x CONSTANT double precision := y * vectors[6] - z * vectors[5];
    up_y CONSTANT double precision := z * vectors[4] - x * vectors[6];
    up_z CONSTANT double precision := x * vectors[5] - y * vectors[4];
    x1 double precision := vectors[7]; y1 double precision := vectors[8]; z1 double precision := vectors[9];
    x2 double precision; y2 double precision; z2 double precision;
    nx double precision; ny double precision; nz double precision;
    length double precision;
    height double precision;
    a_is_above boolean := up_x * x1 + up_y * y1 + up_z * z1 > 0;
    b_is_above boolean;
    is_inside boolean := false;
    to_edge double precision := 2;  -- sine of the smallest angle to a great circle, where that is nearest
    to_vertex double precision := 4;  -- square of the shortest chord to a vertex
BEGIN
    FOR i IN 10 .. size BY 3 LOOP
        x2 := vectors[i];
        y2 := vectors[i + 1];
        z2 := vectors[i + 2];
        nx := y1 * z2 - z1 * y2;
        ny := z1 * x2 - x1 * z2;
        nz := x1 * y2 - y1 * x2;
        height := nx * x + ny * y + nz * z;
        b_is_above := up_x * x2 + up_y * y2 + up_z * z2 > 0;
        IF a_is_above <> b_is_above AND (height > 0) = b_is_above THEN
            is_inside := NOT is_inside;
        END IF;
        IF (ny * z1 - nz * y1) * x + (nz * x1 - nx * z1) * y + (nx * y1 - ny * x1) * z >= 0
           AND (ny * z2 - nz * y2) * x + (nz * x2 - nx * z2) * y + (nx * y2 - ny * x2) * z <= 0 THEN
            length := sqrt(nx ^ 2 + ny ^ 2 + nz ^ 2);
            to_edge := least(to_edge, abs(height) / length);
        END IF;
        to_vertex := least(to_vertex, (x - x2) ^ 2 + (y - y2) ^ 2 + (z - z2) ^ 2);
        x1 := x2;
        y1 := y2;
        z1 := z2;
        a_is_above := b_is_above;
    END LOOP;
    is_inside := is_inside AND vectors[1] * x + vectors[2] * y + vectors[3] * z > 0;
    RETURN degrees(least(2 * asin(least(1, sqrt(to_vertex) / 2)), CASE WHEN to_edge <= 1 THEN asin(to_edge) END))
           * CASE WHEN is_inside THEN 1 ELSE -1 END;
END
$$;

-- How deep a direction (x, y, z, a unit vector) is in a polygon: its distance from the border in degrees, negative
-- outside
CREATE FUNCTION pub.polygon_depth(polygon double precision[], x double precision, y double precision,
                                  z double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS $$
    SELECT pub.depth_in(pub.polygon_vectors(polygon), x, y, z)
$$;

-- Whether an edge of one polygon crosses an edge of the other, each of their ends farther from the other's great circle
-- than a tolerance (sine of the angle times that of the edge's length); both are given as unit vectors
CREATE FUNCTION pub.edges_cross(a double precision[], b double precision[], tolerance double precision)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS $$
DECLARE
    nx double precision; ny double precision; nz double precision;
    mx double precision; my double precision; mz double precision;
    s double precision; t double precision; u double precision; v double precision;
BEGIN
    FOR i IN 7 .. cardinality(a) - 3 BY 3 LOOP
        nx := a[i + 1] * a[i + 5] - a[i + 2] * a[i + 4];
        ny := a[i + 2] * a[i + 3] - a[i] * a[i + 5];
        nz := a[i] * a[i + 4] - a[i + 1] * a[i + 3];
        t := nx * b[7] + ny * b[8] + nz * b[9];
        FOR j IN 7 .. cardinality(b) - 3 BY 3 LOOP
            s := - t;
            t := nx * b[j + 3] + ny * b[j + 4] + nz * b[j + 5];
            CONTINUE WHEN (s > 0) <> (t > 0);
            mx := b[j + 1] * b[j + 5] - b[j + 2] * b[j + 4];
            my := b[j + 2] * b[j + 3] - b[j] * b[j + 5];
            mz := b[j] * b[j + 4] - b[j + 1] * b[j + 3];
            u := mx * a[i] + my * a[i + 1] + mz * a[i + 2];
            v := - (mx * a[i + 3] + my * a[i + 4] + mz * a[i + 5]);
            -- all four must turn the same way, else the circles cross on the far side
            IF least(s, t, u, v) > tolerance OR greatest(s, t, u, v) < - tolerance THEN
                RETURN true;
            END IF;
        END LOOP;
    END LOOP;
    RETURN false;
END
$$;

-- Whether two polygons have a point in common
CREATE FUNCTION pub.polygons_meet(polygon double precision[], other double precision[])
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS $$
DECLARE
    a CONSTANT double precision[] := pub.polygon_vectors(polygon);
    b CONSTANT double precision[] := pub.polygon_vectors(other);
BEGIN
    IF pub.edges_cross(a, b, 0) THEN
        RETURN true;
    END IF;
    FOR i IN 10 .. cardinality(a) BY 3 LOOP
        IF pub.depth_in(b, a[i], a[i + 1], a[i + 2]) > -1e-9 THEN
            RETURN true;
        END IF;
    END LOOP;
    FOR i IN 10 .. cardinality(b) BY 3 LOOP
        IF pub.depth_in(a, b[i], b[i + 1], b[i + 2]) > -1e-9 THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END
$$;

-- Whether the second polygon holds the first: no edge crosses one of the other, no vertex and no middle of an edge is
-- outside, and no vertex of the second is inside the first
CREATE FUNCTION pub.polygon_within(polygon double precision[], other double precision[])
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS $$
DECLARE
    a CONSTANT double precision[] := pub.polygon_vectors(polygon);
    b CONSTANT double precision[] := pub.polygon_vectors(other);
    x double precision; y double precision; z double precision;
    length double precision;
BEGIN
    FOR i IN 10 .. cardinality(a) BY 3 LOOP
        IF pub.depth_in(b, a[i], a[i + 1], a[i + 2]) < -1e-9 THEN
            RETURN false;
        END IF;
    END LOOP;
    IF pub.edges_cross(a, b, 1e-11) THEN
        RETURN false;
    END IF;
    FOR i IN 10 .. cardinality(a) BY 3 LOOP
        x := a[i - 3] + a[i];
        y := a[i - 2] + a[i + 1];
        z := a[i - 1] + a[i + 2];
        length := sqrt(x ^ 2 + y ^ 2 + z ^ 2);
        IF pub.depth_in(b, x / length, y / length, z / length) < -1e-9 THEN
            RETURN false;
        END IF;
    END LOOP;
    FOR i IN 10 .. cardinality(b) BY 3 LOOP
        IF pub.depth_in(a, b[i], b[i + 1], b[i + 2]) > 1e-9 THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
END
$$;

-- The polygon of a box: its sides are great circles at right angles to the arms of a cross around its centre (deg)
CREATE FUNCTION pub.box_polygon(ra double precision, "dec" double precision, width double precision,
                                height double precision)
RETURNS double precision[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT array_agg(v.x ORDER BY c.n, v.n)
    FROM (VALUES (1, -1, -1), (2, 1, -1), (3, 1, 1), (4, -1, 1)) AS c (n, u, v)
    CROSS JOIN LATERAL (SELECT c.u * tand(width / 2), c.v * tand(height / 2)) AS t (u, v)
    CROSS JOIN LATERAL (
        SELECT cosd("dec") * cosd(ra) - t.u * sind(ra) - t.v * sind("dec") * cosd(ra),
               cosd("dec") * sind(ra) + t.u * cosd(ra) - t.v * sind("dec") * sind(ra), sind("dec") + t.v * cosd("dec")
    ) AS p (x, y, z)
    CROSS JOIN LATERAL (VALUES (1, atan2d(p.y, p.x)), (2, atan2d(p.z, sqrt(p.x ^ 2 + p.y ^ 2)))) AS v (n, x)
    WHERE width >= 0 AND width <= 178 AND height >= 0 AND height <= 178 AND abs("dec") <= 90
$$;
