-- name: no_vote_now
-- Wait for votes that are being written, and let none begin before this transaction ends.
LOCK TABLE people.vote IN SHARE MODE;

-- name: votes
-- All votes of real or of simulated volunteers, in the order in which they were given.
SELECT v.source_id, v.volunteer_id, v.answer, v.known_class, v.vote_id
FROM people.vote AS v
JOIN people.volunteer AS j USING (volunteer_id)
WHERE j.is_simulated = %(simulated)s AND v.vote_id <= coalesce(%(last)s, v.vote_id)
ORDER BY v.vote_id;

-- name: sources
-- Published sources that have votes, or whose class is least certain or rare: those that could be asked next.
SELECT source_id, known_class, {columns}
FROM pub.classified
WHERE source_id = ANY (%(voted)s)
   OR source_id IN (SELECT source_id FROM pub.classified
                    WHERE is_best_of_master AND known_class IS NULL
                    ORDER BY {rare} DESC, p_class, source_id LIMIT %(most)s);

-- name: consensus_run
-- A consensus that has ended well; without a number, the newest.
SELECT run_id, config FROM xcat.run WHERE kind = 'consensus' AND status = 'done'
AND (config ->> 'simulated')::boolean = %(simulated)s AND run_id = coalesce(%(run_id)s, run_id)
ORDER BY run_id DESC LIMIT 1;

-- name: earlier_answers
-- Answers of retired sources of a consensus; settled ones are among them.
SELECT source_id, answer, p, n_effective FROM xcat.consensus
WHERE run_id = %(run_id)s AND is_retired AND answer IS NOT NULL;

-- name: labels
-- Retired sources that are not known otherwise, whose consensus is a class, with places; settled ones are among them.
SELECT s.name, s.ra, s.dec, s.err_arcsec, c.answer AS class, c.n_votes, c.n_effective, c.p, c.run_id
FROM xcat.consensus AS c
JOIN pub.classified AS s USING (source_id)
WHERE c.run_id = %(run_id)s AND c.is_retired AND c.known_class IS NULL AND c.answer IN ('AGN', 'Star', 'XRB', 'CV')
ORDER BY s.name COLLATE "C", s.source_id;

-- name: accounts
-- Accounts with their votes, and how many of known objects were right.
SELECT a.name, a.created_at, count(v.vote_id) AS n_votes,
       count(v.vote_id) FILTER (WHERE v.known_class IS NOT NULL) AS n_known,
       count(v.vote_id) FILTER (WHERE v.answer = v.known_class) AS n_right,
       max(v.voted_at) AS last_at
FROM people.account AS a
LEFT JOIN people.vote AS v USING (volunteer_id)
GROUP BY a.account_id
ORDER BY n_votes DESC, a.name;

-- name: export
-- Every vote, for papers: volunteers as pseudonyms, sources with their names.
SELECT v.volunteer_id, v.source_id, s.name, v.answer, v.asked_as, v.known_class, v.voted_at
FROM people.vote AS v
JOIN people.volunteer AS j USING (volunteer_id)
LEFT JOIN pub.classified AS s USING (source_id)
WHERE j.is_simulated = %(simulated)s
ORDER BY v.vote_id;

-- name: add_volunteer
-- A new number for somebody who votes.
INSERT INTO people.volunteer (is_simulated) VALUES (%(simulated)s) RETURNING volunteer_id;

-- name: register
-- A new account with its volunteer.
WITH one AS (INSERT INTO people.volunteer (is_simulated) VALUES (false) RETURNING volunteer_id)
INSERT INTO people.account (volunteer_id, name, mail, password_hash)
SELECT volunteer_id, %(name)s, %(mail)s, %(password_hash)s FROM one
ON CONFLICT (lower(name)) DO NOTHING
RETURNING account_id, volunteer_id;

-- name: account
-- The account of a name, whatever its case.
SELECT account_id, volunteer_id, name, mail, password_hash, created_at FROM people.account
WHERE lower(name) = lower(%(name)s);

-- name: delete_account
-- Remove an account and all that goes with it; its votes stay, under a number.
DELETE FROM people.account WHERE lower(name) = lower(%(name)s) RETURNING account_id;

-- name: set_password
-- Another password.
UPDATE people.account SET password_hash = %(password_hash)s WHERE account_id = %(account_id)s;

-- name: begin_session
-- Somebody has logged in; sessions that have expired go.
WITH gone AS (DELETE FROM people.web_session WHERE expires_at < now())
INSERT INTO people.web_session (token_sha256, account_id, expires_at)
VALUES (%(token_sha256)s, %(account_id)s, now() + %(lasts)s);

-- name: session
-- Whose session it is; none that has expired.
SELECT a.account_id, a.volunteer_id, a.name, a.mail
FROM people.web_session AS s JOIN people.account AS a USING (account_id)
WHERE s.token_sha256 = %(token_sha256)s AND s.expires_at > now();

-- name: end_session
-- Somebody has logged out.
DELETE FROM people.web_session WHERE token_sha256 = %(token_sha256)s;

-- name: end_sessions
-- End all sessions of an account.
DELETE FROM people.web_session WHERE account_id = %(account_id)s;

-- name: sessions
-- When somebody has logged in, and until when that lasts.
SELECT created_at, expires_at FROM people.web_session WHERE account_id = %(account_id)s ORDER BY created_at;

-- name: vote
-- Keep a vote; nothing if the volunteer has voted on the source before.
INSERT INTO people.vote (volunteer_id, source_id, answer, asked_as, known_class)
VALUES (%(volunteer_id)s, %(source_id)s, %(answer)s, %(asked_as)s, %(known_class)s)
ON CONFLICT (volunteer_id, source_id) DO NOTHING
RETURNING vote_id;

-- name: vote_of
-- The vote of a volunteer on a source.
SELECT answer, asked_as, known_class, voted_at FROM people.vote
WHERE volunteer_id = %(volunteer_id)s AND source_id = %(source_id)s;

-- name: record
-- All answers of a volunteer, the newest first.
SELECT source_id, answer, asked_as, known_class, voted_at FROM people.vote
WHERE volunteer_id = %(volunteer_id)s ORDER BY vote_id DESC;

-- name: tallies
-- How often each answer was given to a source by real volunteers.
SELECT v.answer, count(*)::integer AS n
FROM people.vote AS v JOIN people.volunteer AS j USING (volunteer_id)
WHERE v.source_id = %(source_id)s AND NOT j.is_simulated
GROUP BY 1 ORDER BY 2 DESC, 1;

-- name: next_known
-- A known source that the volunteer has not seen: of the class that they have seen least often. What is known from
-- votes only measures nobody.
SELECT s.source_id, s.known_class
FROM pub.classified AS s
LEFT JOIN (SELECT known_class, count(*) AS n FROM people.vote WHERE volunteer_id = %(volunteer_id)s GROUP BY 1) AS v
  ON v.known_class = s.known_class
WHERE s.known_class = ANY (%(classes)s) AND s.origin <> 'citizen' AND s.is_best_of_master
  AND NOT EXISTS (SELECT FROM people.vote AS o WHERE o.source_id = s.source_id AND o.volunteer_id = %(volunteer_id)s)
ORDER BY coalesce(v.n, 0), md5(s.source_id::text || %(volunteer_id)s::text)
LIMIT 1;

-- name: next_unknown
-- The source where a vote tells most, by the newest consensus and the votes since.
SELECT c.source_id
FROM xcat.consensus AS c
LEFT JOIN LATERAL (SELECT count(*) AS n FROM people.vote AS v JOIN people.volunteer AS j USING (volunteer_id)
                   WHERE v.source_id = c.source_id AND NOT j.is_simulated) AS v ON true
WHERE c.run_id = %(run_id)s AND NOT c.is_retired AND c.known_class IS NULL
  AND EXISTS (SELECT FROM pub.classified AS s WHERE s.source_id = c.source_id)
  AND NOT EXISTS (SELECT FROM people.vote AS o WHERE o.source_id = c.source_id AND o.volunteer_id = %(volunteer_id)s)
ORDER BY c.vote_value / (1 + v.n - c.n_votes) DESC, c.source_id
LIMIT 1;

-- name: next_uncertain
-- Without a consensus: the source whose class is least certain among those with the fewest votes.
SELECT s.source_id
FROM pub.classified AS s
LEFT JOIN (SELECT v.source_id, count(*) AS n FROM people.vote AS v JOIN people.volunteer AS j USING (volunteer_id)
           WHERE NOT j.is_simulated GROUP BY 1) AS v USING (source_id)
WHERE s.known_class IS NULL AND s.is_best_of_master
  AND NOT EXISTS (SELECT FROM people.vote AS o WHERE o.source_id = s.source_id AND o.volunteer_id = %(volunteer_id)s)
ORDER BY coalesce(v.n, 0), s.p_class, s.source_id
LIMIT 1;

-- name: shown
-- What a volunteer is shown of a source: measured quantities only, nothing of its class.
SELECT {columns} FROM pub.classified WHERE source_id = %(source_id)s;

-- name: answer_of_ours
-- What is published of a source: its name, our class, and the class that it is known as.
SELECT name, class, p_class, known_class FROM pub.classified WHERE source_id = %(source_id)s;

-- name: remarks
-- What volunteers say about a source.
SELECT a.name, r.body, r.created_at FROM people.remark AS r JOIN people.account AS a USING (account_id)
WHERE r.source_id = %(source_id)s ORDER BY r.remark_id;

-- name: own_remarks
-- What one has said.
SELECT source_id, body, created_at FROM people.remark WHERE account_id = %(account_id)s ORDER BY remark_id;

-- name: add_remark
-- Keep a remark.
INSERT INTO people.remark (account_id, source_id, body) VALUES (%(account_id)s, %(source_id)s, %(body)s);

-- name: watchlists
-- The watchlists of an account.
SELECT watchlist_id, title, adql, feed_key, hook, watched_run_id, cardinality(source_ids) AS n_sources, created_at
FROM people.watchlist
WHERE account_id = %(account_id)s ORDER BY watchlist_id;

-- name: all_watchlists
-- Every watchlist that was last compared with another run than the one that is published.
SELECT watchlist_id, title, adql, feed_key, hook, watched_run_id, source_ids FROM people.watchlist
WHERE watched_run_id <> %(run_id)s ORDER BY watchlist_id;

-- name: add_watchlist
-- A new watchlist.
INSERT INTO people.watchlist (account_id, title, adql, feed_key, hook, watched_run_id, source_ids)
VALUES (%(account_id)s, %(title)s, %(adql)s, %(feed_key)s, %(hook)s, %(run_id)s, %(source_ids)s) RETURNING watchlist_id;

-- name: change_watchlist
-- Another title, query and webhook for a watchlist of one's own.
UPDATE people.watchlist
SET title = %(title)s, adql = %(adql)s, hook = %(hook)s, watched_run_id = %(run_id)s, source_ids = %(source_ids)s
WHERE watchlist_id = %(watchlist_id)s AND account_id = %(account_id)s RETURNING watchlist_id;

-- name: delete_watchlist
-- Remove a watchlist of one's own.
DELETE FROM people.watchlist WHERE watchlist_id = %(watchlist_id)s AND account_id = %(account_id)s RETURNING title;

-- name: feed
-- The watchlist of a feed.
SELECT watchlist_id, title, created_at FROM people.watchlist WHERE feed_key = %(feed_key)s;

-- name: notices
-- What a watchlist was told, the newest first.
SELECT notice_id, run_id, source_id, name, changed, old_value, new_value, created_at FROM people.notice
WHERE watchlist_id = %(watchlist_id)s ORDER BY notice_id DESC LIMIT %(most)s;

-- name: add_notice
-- Keep a notice, once.
INSERT INTO people.notice (watchlist_id, run_id, source_id, name, changed, old_value, new_value)
VALUES (%(watchlist_id)s, %(run_id)s, %(source_id)s, %(name)s, %(changed)s, %(old_value)s, %(new_value)s)
ON CONFLICT DO NOTHING;

-- name: watched
-- A watchlist has been compared with a run, by one process only.
UPDATE people.watchlist SET watched_run_id = %(run_id)s, source_ids = %(source_ids)s
WHERE watchlist_id = %(watchlist_id)s AND watched_run_id = %(before)s RETURNING watchlist_id;

-- name: can_be_compared
-- Whether a run that was published is still there.
SELECT EXISTS (SELECT FROM pub.classified_runs WHERE run_id = %(run_id)s);

-- name: compared
-- Class, counterparts and flux of some sources in two published runs. A flux has changed if it did by more than three
-- sigma of both errors and a tenth.
WITH a AS (SELECT * FROM pub.classified_runs WHERE run_id = %(before)s AND source_id = ANY (%(source_ids)s)),
     b AS (SELECT * FROM pub.classified_runs WHERE run_id = %(run_id)s AND source_id = ANY (%(source_ids)s))
SELECT coalesce(b.source_id, a.source_id) AS source_id, coalesce(b.name, a.name) AS name,
       a.source_id IS NULL AS is_new, b.source_id IS NULL AS is_gone,
       a.class AS old_class, b.class AS class,
       coalesce(a.optical_native_id, '-') || ', ' || coalesce(a.infrared_native_id, '-') AS old_counterpart,
       coalesce(b.optical_native_id, '-') || ', ' || coalesce(b.infrared_native_id, '-') AS counterpart,
       a.flux_cgs AS old_flux, b.flux_cgs AS flux,
       abs(b.flux_cgs - a.flux_cgs) > 3 * sqrt(coalesce(a.flux_err_cgs, 0) ^ 2 + coalesce(b.flux_err_cgs, 0) ^ 2)
       AND abs(b.flux_cgs - a.flux_cgs) > 0.1 * abs(a.flux_cgs) AS flux_changed
FROM a FULL JOIN b ON a.source_id = b.source_id
ORDER BY 1;

-- name: classes
-- The classes that are published.
SELECT unnest(classes) FROM pub.runs WHERE is_published;

-- name: simulated_sky
-- Published sources with our posterior and one of their detections, as mission and its own number.
SELECT DISTINCT ON (c.source_id) c.source_id, c.known_class, substr(x.name, 5) AS catalogue, d.native_id, {columns}
FROM pub.classified AS c
JOIN xcat.run AS r ON r.run_id = c.run_id
JOIN xcat.source_detection AS m ON m.run_id = r.source_run_id AND m.source_id = c.source_id
JOIN xcat.detection AS d ON d.catalogue_id = m.catalogue_id AND d.object_id = m.object_id
JOIN xcat.catalogue AS x ON x.catalogue_id = d.catalogue_id
WHERE c.is_best_of_master
ORDER BY c.source_id, d.object_id;
