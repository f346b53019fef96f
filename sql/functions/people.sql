-- What keeps votes as they were given, whoever asks.

-- Refuses to change or delete rows: raw votes are the record that every consensus is computed from again
CREATE FUNCTION people.refuse_change()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'votes are never changed or deleted' USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER vote_stays
BEFORE UPDATE OR DELETE ON people.vote
FOR EACH ROW EXECUTE FUNCTION people.refuse_change();

CREATE TRIGGER vote_table_stays
BEFORE TRUNCATE ON people.vote
FOR EACH STATEMENT EXECUTE FUNCTION people.refuse_change();
