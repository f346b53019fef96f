-- name: calibration_curve
-- How reliable are the counterparts of a catalogue: what share of positions without one is given one (false_rate), and
-- what share of the sources is kept, at each cutoff of p_any? Here of the first catalogue that was calibrated, over the
-- whole sky (part 0); is_chosen marks the cutoff in use.
SELECT catalogue, cutoff, is_chosen, false_rate, CAST(n_sources_above AS DOUBLE PRECISION) / n_sources AS kept,
       contamination, n_shifted
FROM pub.reliability
WHERE part = 0
  AND catalogue = (SELECT MIN(catalogue) FROM pub.reliability WHERE catalogue <> 'all together')
ORDER BY cutoff, is_chosen
