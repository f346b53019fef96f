-- name: rival_hypotheses
-- Which sources have two hypotheses that are about as probable, at most a factor of 2 apart? "None of the catalogues"
-- counts as one (rank 0).
SELECT a.name, a.p_hypothesis, a.catalogues, a.objects, b.p_hypothesis AS other_p_hypothesis,
       b.catalogues AS other_catalogues, b.objects AS other_objects
FROM pub.hypotheses AS a
JOIN pub.hypotheses AS b ON b.source_id = a.source_id AND b.rank <> a.rank
WHERE a.p_hypothesis > 0.2
  AND b.p_hypothesis > 0.5 * a.p_hypothesis
  AND (a.p_hypothesis > b.p_hypothesis OR (a.p_hypothesis = b.p_hypothesis AND b.rank > a.rank))
ORDER BY b.p_hypothesis DESC, a.name
