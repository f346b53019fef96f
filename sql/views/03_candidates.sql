-- Candidates: the class, and not yet known to the literature.
CREATE VIEW xcat.xrb_candidates AS
SELECT * FROM xcat.classified WHERE class = 'XRB' AND known_class IS NULL;
COMMENT ON VIEW xcat.xrb_candidates IS 'Sources classified as X-ray binary that no reference catalogue knows';

CREATE VIEW xcat.cv_candidates AS
SELECT * FROM xcat.classified WHERE class = 'CV' AND known_class IS NULL;
COMMENT ON VIEW xcat.cv_candidates IS 'Sources classified as cataclysmic variable that no reference catalogue knows';
