-- name: ambiguous_counterparts
-- For which sources is it unclear which object is the counterpart? They are likely to have one, but the two most
-- probable hypotheses are each probable enough to be it.
SELECT a.name, a.catalogues, a.objects, a.p_hypothesis, b.catalogues AS other_catalogues, b.objects AS other_objects,
       b.p_hypothesis AS other_p_hypothesis
FROM pub.hypotheses AS a
JOIN pub.hypotheses AS b ON b.source_id = a.source_id AND b.rank > a.rank
WHERE a.rank > 0 AND a.p_hypothesis > 0.2 AND b.p_hypothesis > 0.2
ORDER BY b.p_hypothesis DESC, a.name
