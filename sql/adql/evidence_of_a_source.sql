-- name: evidence_of_a_source
-- Why has a source its class? Log-likelihood of every property in every class, and its difference from the
-- mean over the classes. Here of the most probable X-ray binary; put a source_id of your own.
SELECT e.property, e.category, e.class, e.log_likelihood, e.advantage
FROM pub.evidence AS e
WHERE e.source_id = (SELECT TOP 1 source_id FROM pub.classified ORDER BY p_xrb DESC, name)
ORDER BY e.property, e.advantage DESC
