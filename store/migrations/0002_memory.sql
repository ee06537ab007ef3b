-- What the detector keeps in mind besides sources: keys that rules add up by, recipients, the hours of the week. The
-- space is the detector's own number for what kind of key it is.
CREATE TABLE memory (
    space INTEGER NOT NULL,
    key   INTEGER NOT NULL, -- unsigned 64 bits, taken as signed
    value BLOB NOT NULL,
    PRIMARY KEY (space, key)
) WITHOUT ROWID;

-- Saved state of version 1 is of no use to a detector that writes version 2: the windows begin anew, and whoever opens the
-- database is told.
DELETE FROM windows;

-- What a decision says beyond the source: the threshold for a source that nothing speaks for, by what the rule adds up,
-- what that was (text from a log), and the prefix that a block covers where it is not the source's.
ALTER TABLE decisions ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
ALTER TABLE decisions ADD COLUMN keyed TEXT NOT NULL DEFAULT '';
ALTER TABLE decisions ADD COLUMN grp TEXT NOT NULL DEFAULT '';
ALTER TABLE decisions ADD COLUMN target TEXT NOT NULL DEFAULT '';
-- The names that the client gave and has (text from a log).
ALTER TABLE decisions ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE decisions ADD COLUMN helo TEXT NOT NULL DEFAULT '';
