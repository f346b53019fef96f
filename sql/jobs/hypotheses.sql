-- name: reach
-- Six sigma of the pair of positions with the largest errors.
SELECT 6 * sqrt(2 * max(greatest(cxx, cyy))) FROM pg_temp.association;

-- name: extend
-- Add an object of one more catalogue. Gaussian positions multiply, so the Bayes factor of n positions is a product of
-- two-way ones: of the members so far, at their weighted mean with its covariance, and the new one; then of the source
-- and all of them. So the order of the catalogues does not matter (Pineau et al. 2017). If the proper motion of only
-- one is known, the other is moved with it; if neither is, both may have moved by 10 mas per year, which most stars do
-- not exceed. Pairs more than six sigma apart and a million times less likely than chance are dropped.
INSERT INTO pg_temp.association (
    no, id, is_shifted, part, stratum, mask, ks, members, x, y, cxx, cxy, cyy, move_x, move_y, unmoved_yr, log_members,
    log_back, log_bf, log_weight, marks)
SELECT no, id, is_shifted, part, stratum, mask, ks, members, x, y, cxx, cxy, cyy, move_x, move_y, unmoved_yr,
       log_members, log_back, log_bf, log_rest + log_bf, marks
FROM (
    SELECT *, log_members + ln(2) + 2 * ln(206264.80624709636) - ln(det) / 2
              - ((tcyy + cyy) * x * x - 2 * (tcxy + cxy) * x * y + (tcxx + cxx) * y * y) / det / 2 AS log_bf
    FROM (
        SELECT *, (tcxx + cxx) * (tcyy + cyy) - (tcxy + cxy) ^ 2 AS det
        FROM (
            SELECT atid, btid, no, id, is_shifted, part, stratum, mask, ks, members, tcxx, tcxy, tcyy, log_rest, move_x,
                   move_y, unmoved_yr, marks,
                   log_members + log_step AS log_members, log_back + log_step - log_nu AS log_back,
                   ax + gxx * dx + gxy * dy AS x, ay + gyx * dx + gyy * dy AS y,
                   acxx - gxx * acxx - gxy * acxy AS cxx, acxy - gxx * acxy - gxy * acyy AS cxy,
                   acyy - gyx * acxy - gyy * acyy AS cyy
            FROM (
                SELECT *, ln(2) + 2 * ln(206264.80624709636) - ln(sdet) / 2 - chi2 / 2 AS log_step,
                       (acxx * syy - acxy * sxy) / sdet AS gxx, (acxy * sxx - acxx * sxy) / sdet AS gxy,
                       (acxy * syy - acyy * sxy) / sdet AS gyx, (acyy * sxx - acxy * sxy) / sdet AS gyy
                FROM (
                    SELECT *, (syy * dx * dx - 2 * sxy * dx * dy + sxx * dy * dy) / sdet AS chi2
                    FROM (
                        SELECT a.tid AS atid, b.tid AS btid, a.no, a.id, a.is_shifted, a.part, a.stratum,
                               (a.mask | b.mask)::smallint AS mask, a.ks || b.ks AS ks,
                               a.members || b.members AS members, t.cxx AS tcxx, t.cxy AS tcxy, t.cyy AS tcyy,
                               t.log_nu[%(k)s] AS log_nu, a.x AS ax, a.y AS ay, a.cxx AS acxx, a.cxy AS acxy,
                               a.cyy AS acyy, b.x + a.move_x * b.unmoved_yr - a.x AS dx,
                               b.y + a.move_y * b.unmoved_yr - a.y AS dy, a.move_x, a.move_y,
                               a.marks || b.marks AS marks, a.cxx + b.cxx + u.arcsec2 AS sxx, a.cxy + b.cxy AS sxy,
                               a.cyy + b.cyy + u.arcsec2 AS syy,
                               (a.cxx + b.cxx + u.arcsec2) * (a.cyy + b.cyy + u.arcsec2) - (a.cxy + b.cxy) ^ 2 AS sdet,
                               a.unmoved_yr, a.log_members, a.log_back,
                               a.log_weight - a.log_bf + b.log_weight - b.log_bf AS log_rest
                        FROM pg_temp.association AS a
                        JOIN pg_temp.association AS b ON b.no = a.no
                        JOIN pg_temp.target AS t ON t.no = a.no
                        CROSS JOIN LATERAL (
                            SELECT CASE WHEN a.unmoved_yr <> 0 AND b.unmoved_yr <> 0
                                        THEN (0.010 * (a.unmoved_yr - b.unmoved_yr)) ^ 2 ELSE 0 END AS arcsec2) AS u
                        WHERE b.mask = 1 << (%(k)s - 1) AND a.mask & ~%(before)s::integer = 0
                          AND abs(b.x + a.move_x * b.unmoved_yr - a.x) < %(reach_arcsec)s
                          AND abs(b.y + a.move_y * b.unmoved_yr - a.y) < %(reach_arcsec)s
                        OFFSET 0) AS couple
                    OFFSET 0) AS distance
                OFFSET 0) AS gain
            WHERE chi2 < 36 OR log_step - log_nu > -14
            OFFSET 0) AS combined
        OFFSET 0) AS determinant
    OFFSET 0) AS with_source
ORDER BY no, atid, btid;

-- name: clear_shares
-- Empty the tables before new shares.
TRUNCATE pg_temp.share, pg_temp.touched, pg_temp.crowd;

-- name: touch
-- Weight of "these objects of several catalogues are one, whether or not it is the source" over "they are separate",
-- summed for every object over its associations; those of a weight below e^-9 are negligible.
INSERT INTO pg_temp.touched (no, k, object_id, weight)
SELECT no, k, object_id, sum(w)
FROM (
    SELECT a.no, m.k, m.object_id, a.w
    FROM (
        SELECT a.tid, a.no, a.ks, a.members, exp(least(a.log_back + s.log_back, 250)) AS w
        FROM pg_temp.association AS a
        JOIN pg_temp.share AS s ON s.part = a.part AND s.mask = a.mask
        WHERE cardinality(a.ks) > 1 AND a.log_back + s.log_back > -9
        OFFSET 0) AS a
    CROSS JOIN LATERAL unnest(a.ks, a.members) AS m (k, object_id)
    ORDER BY a.no, m.k, m.object_id, a.tid) AS sorted
GROUP BY no, k, object_id;

-- name: crowd_singles
-- One object in several catalogues is a chance neighbour only once: the weight of every association is divided by 1 +
-- the weights of all associations of several objects that share a member with it. For two catalogues this is the sum
-- over all ways to pair up the objects around, one pair at a time.
INSERT INTO pg_temp.crowd (tid, log_crowd)
SELECT a.tid, ln(1 + u.weight)
FROM pg_temp.association AS a
JOIN pg_temp.touched AS u ON u.no = a.no AND u.k = a.ks[1] AND u.object_id = a.members[1]
WHERE cardinality(a.ks) = 1;

-- name: crowd_associations
-- The same for associations of several objects, which share all members with themselves.
INSERT INTO pg_temp.crowd (tid, log_crowd)
SELECT tid, ln(1 + greatest(coalesce(sum(weight), 0) - (count(*) - 1) * min(w), min(w)))
FROM (
    SELECT a.tid, a.w, u.weight
    FROM (
        SELECT a.tid, a.no, a.ks, a.members, exp(greatest(least(a.log_back + s.log_back, 250), -250)) AS w
        FROM pg_temp.association AS a
        JOIN pg_temp.share AS s ON s.part = a.part AND s.mask = a.mask
        WHERE cardinality(a.ks) > 1
        OFFSET 0) AS a
    CROSS JOIN LATERAL unnest(a.ks, a.members) AS m (k, object_id)
    LEFT JOIN pg_temp.touched AS u ON u.no = a.no AND u.k = m.k AND u.object_id = m.object_id
    ORDER BY a.tid, m.k) AS sorted
GROUP BY tid;

-- name: shares
-- Number of objects in several catalogues: for each pattern of catalogues the sum of the probabilities that an
-- association is one object.
SELECT part, mask, sum(p)::double precision AS n
FROM (
    SELECT a.part, a.mask, exp(greatest(least(a.log_back + s.log_back, 250) - c.log_crowd, -250)) AS p
    FROM pg_temp.association AS a
    JOIN pg_temp.share AS s ON s.part = a.part AND s.mask = a.mask
    JOIN pg_temp.crowd AS c USING (tid)
    WHERE cardinality(a.ks) > 1 AND a.is_shifted = %(shifted)s
    ORDER BY a.part, a.mask, a.tid) AS sorted
GROUP BY part, mask;

-- name: count_objects
-- Objects located of each catalogue, by part.
SELECT part, ks[1] AS k, count(*) AS n
FROM pg_temp.association
WHERE cardinality(ks) = 1 AND is_shifted = %(shifted)s
GROUP BY 1, 2;

-- name: field_magnitudes
-- Histogram of magnitudes and colours at shifted positions, by pattern of catalogues; an association counts with the
-- probability that it is one object, and not part of a larger one.
SELECT mask::integer AS mask, part, term::integer AS term, bin, sum(p)::double precision AS n_objects
FROM (
    SELECT a.mask, a.part, m.term, b.bin, a.p
    FROM (
        SELECT a.tid, a.part, a.mask, a.marks,
               exp(greatest(CASE WHEN cardinality(a.ks) > 1 THEN least(a.log_back + s.log_back, 250) ELSE 0 END
                            - coalesce(c.log_crowd, 0), -250)) AS p
        FROM pg_temp.association AS a
        LEFT JOIN pg_temp.crowd AS c USING (tid)
        LEFT JOIN pg_temp.share AS s ON s.part = a.part AND s.mask = a.mask
        WHERE a.is_shifted AND a.mask = ANY (%(masks)s)
        OFFSET 0) AS a
    CROSS JOIN LATERAL unnest(a.marks) WITH ORDINALITY AS m (value, term)
    CROSS JOIN LATERAL (SELECT floor(m.value / %(step_mag)s)::integer AS bin) AS b
    WHERE m.value BETWEEN -1e4 AND 1e4
    ORDER BY a.mask, a.part, m.term, b.bin, a.tid) AS sorted
GROUP BY mask, part, term, bin;

-- name: candidate_magnitudes
-- Magnitudes and colours of the associations that are possible by position, with their weight by position.
SELECT a.tid, a.no, a.mask::integer, w.log_weight::real, {values}
FROM pg_temp.association AS a
LEFT JOIN pg_temp.crowd AS c USING (tid)
LEFT JOIN pg_temp.share AS s ON s.part = a.part AND s.mask = a.mask
CROSS JOIN LATERAL (SELECT a.log_weight - coalesce(c.log_crowd, 0) - coalesce(s.log_alone, 0) AS log_weight) AS w
WHERE NOT a.is_shifted AND a.mask = ANY (%(masks)s) AND w.log_weight > -12;

-- name: candidate_magnitude
-- One magnitude or colour of them.
coalesce(a.marks[{i}], 'NaN')

-- name: factor
-- Log ratio of one magnitude or colour, 0 where it is missing or outside the curve.
+ coalesce(c{i}.log_ratio[width_bucket(a.marks[{i}]::double precision, c{i}.edges)], 0)

-- name: factor_curve
-- The curve that it is read from.
LEFT JOIN pg_temp.curve AS c{i} ON c{i}.mask = a.mask AND c{i}.term = {i} AND c{i}.stratum = a.stratum

-- name: extras
-- Log of the factor on the weight by position: magnitudes, and other associations that share the members.
INSERT INTO pg_temp.extra (tid, log_extra)
SELECT a.tid, - coalesce(c.log_crowd, 0) - coalesce(s.log_alone, 0) {factors}
FROM pg_temp.association AS a
LEFT JOIN pg_temp.crowd AS c USING (tid)
LEFT JOIN pg_temp.share AS s ON s.part = a.part AND s.mask = a.mask
{curves};

-- name: weighed
-- Associations with the logs of their weight by position and of the factor on it.
(SELECT a.*, coalesce(e.log_extra, 0) AS log_extra
 FROM pg_temp.association AS a LEFT JOIN pg_temp.extra AS e USING (tid))

-- name: weighed_of_one
-- The same for one catalogue: only the magnitudes, looked up at every use.
(SELECT a.*, 0.0 {factors} AS log_extra
 FROM pg_temp.association AS a {curves})

-- name: spread_extras
-- The approximation of NWAY: magnitudes of all members multiply, as if those of one object were independent.
UPDATE pg_temp.extra AS e
SET log_extra = m.log_extra
FROM (
    SELECT a.tid, sum(o.log_extra ORDER BY o.k) AS log_extra
    FROM (SELECT * FROM pg_temp.association WHERE cardinality(ks) > 1) AS a
    CROSS JOIN LATERAL unnest(a.ks, a.members) AS m (k, object_id)
    JOIN (SELECT a.no, a.ks[1] AS k, a.members[1] AS object_id, e.log_extra
          FROM pg_temp.association AS a JOIN pg_temp.extra AS e USING (tid)
          WHERE cardinality(a.ks) = 1) AS o ON o.no = a.no AND o.k = m.k AND o.object_id = m.object_id
    GROUP BY a.tid) AS m
WHERE e.tid = m.tid;

-- name: weigh_none
-- The approximation of NWAY 4.8: the best chance association of several objects multiplies the weight of "no
-- counterpart" only.
UPDATE pg_temp.association AS a
SET log_weight = a.log_weight - n.log_none
FROM (SELECT no, greatest(0, max(log_back)) AS log_none
      FROM pg_temp.association WHERE cardinality(ks) > 1 GROUP BY no) AS n
WHERE a.no = n.no;

-- name: sums
-- Sum of the weights of the associations, by source and pattern of catalogues.
SELECT no, mask::integer AS mask, sum(weight)::double precision AS weights
FROM (
    SELECT no, mask, exp(greatest(least(log_weight + log_extra, 250), -250)) AS weight
    FROM {weighed} AS a
    WHERE NOT is_shifted
    ORDER BY no, mask, tid) AS sorted
GROUP BY no, mask;

-- name: posterior
-- Posterior odds of every association against "no counterpart"; p_any = S / (1 + S) with their sum S, and p_i = odds /
-- S, computed relative to the best so that nothing overflows. p_single is the probability against "no counterpart"
-- alone.
INSERT INTO pg_temp.posterior (no, id, is_shifted, rank, ks, members, sep_arcsec, log_bf, p_single, p_any, p_i,
                               match_flag)
SELECT no, id, is_shifted, rank, ks, members, sqrt(x * x + y * y), log_bf, odds / (1 + odds),
       best * total / (1 + best * total), relative / total,
       CASE WHEN rank = 1 THEN 1 WHEN relative > 0.5 THEN 2 ELSE 0 END
FROM (
    SELECT *, sum(relative) OVER (PARTITION BY no) AS total, exp(greatest(least(log_best, 250), -250)) AS best,
           exp(greatest(least(log_odds, 250), -250)) AS odds
    FROM (
        SELECT *, first_value(log_odds) OVER ranking AS log_best, row_number() OVER ranking AS rank,
               exp(greatest(log_odds - first_value(log_odds) OVER ranking, -250)) AS relative
        FROM (
            SELECT a.no, a.id, a.is_shifted, a.ks, a.members, a.x, a.y, a.log_bf,
                   a.log_weight + a.log_extra + prior.log_odds AS log_odds
            FROM {weighed} AS a
            {prior}
            OFFSET 0) AS a
        WINDOW ranking AS (PARTITION BY no ORDER BY log_odds DESC, log_bf DESC, members)
        OFFSET 0) AS o
    OFFSET 0) AS w;

-- name: prior
-- Prior odds of a pattern, by stratum.
JOIN pg_temp.pattern_prior AS prior ON prior.stratum = a.stratum AND prior.mask = a.mask

-- name: prior_with_edges
-- The same; those of targets that some catalogue has searched around in part only are their own.
JOIN pg_temp.pattern_prior AS p ON p.stratum = a.stratum AND p.mask = a.mask
LEFT JOIN pg_temp.edge_prior AS e ON e.no = a.no AND e.mask = a.mask
CROSS JOIN LATERAL (SELECT coalesce(e.log_odds, p.log_odds) AS log_odds) AS prior

-- name: posterior_none
-- "No counterpart", the hypothesis that every target has.
INSERT INTO pg_temp.posterior (no, id, is_shifted, rank, ks, members, log_bf, p_any, match_flag)
SELECT t.no, t.id, t.is_shifted, 0, '{{}}', '{{}}', 0, coalesce(b.p_any, 0), CASE WHEN b.no IS NULL THEN 1 ELSE 0 END
FROM pg_temp.target AS t LEFT JOIN pg_temp.posterior AS b ON b.no = t.no AND b.rank = 1;
