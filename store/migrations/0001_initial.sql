-- Times are nanoseconds since 1970 UTC, 0 for none; days are counted from 1970-01-01; a source is the number that
-- harvestwatch.Source holds, taken as a signed integer. The file must have been made with auto_vacuum = INCREMENTAL.

-- How far each input has been read. Committed together with everything that followed from the bytes before it.
CREATE TABLE cursors (
    path    TEXT PRIMARY KEY,
    file    BLOB NOT NULL,    -- which generation of the path, as the reader of inputs tells them apart
    pos     INTEGER NOT NULL, -- the next byte to read
    line    INTEGER NOT NULL,
    updated INTEGER NOT NULL
);

-- What a parser remembers from one line to the next: sessions, queue ids.
CREATE TABLE parser_state (
    input TEXT NOT NULL,
    key   BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (input, key)
) WITHOUT ROWID;

-- The detector's record of each source.
CREATE TABLE windows (
    source INTEGER PRIMARY KEY,
    value  BLOB NOT NULL
);

-- What the upper bits of an evidence reference mean. The order of n is the order in which they were given.
CREATE TABLE segments (
    n     INTEGER PRIMARY KEY AUTOINCREMENT,
    seg   INTEGER NOT NULL UNIQUE,
    path  TEXT NOT NULL,
    file  BLOB NOT NULL,
    start INTEGER NOT NULL
);

-- Offences with what was decided on them.
CREATE TABLE decisions (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    source     INTEGER NOT NULL,
    addr       TEXT NOT NULL,    -- of the event that reached the threshold
    rule       TEXT NOT NULL,
    first      INTEGER NOT NULL,
    fired      INTEGER NOT NULL,
    span       INTEGER NOT NULL, -- the window, in nanoseconds
    counted    INTEGER NOT NULL,
    threshold  INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    level      INTEGER NOT NULL,
    probation  INTEGER NOT NULL,
    action     TEXT NOT NULL,
    guard      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    until      INTEGER NOT NULL,
    evidence   INTEGER NOT NULL, -- how many lines of evidence were kept
    pruned     INTEGER NOT NULL DEFAULT 0, -- 1 when these have been deleted
    at         INTEGER NOT NULL  -- when it was committed
);
CREATE INDEX decisions_source ON decisions (source, fired);
CREATE INDEX decisions_fired ON decisions (fired);
CREATE INDEX decisions_evidence ON decisions (fired) WHERE evidence > 0 AND pruned = 0;

-- Prefixes that may not speak SMTP until a time. The number is never given again, because people write it down.
CREATE TABLE blocks (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    prefix   TEXT NOT NULL,    -- as a person reads it
    net      BLOB NOT NULL,    -- 4 or 6, and the bytes of its first address
    bits     INTEGER NOT NULL, -- its length
    start    INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    rule     TEXT NOT NULL,
    level    INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    ended    INTEGER NOT NULL DEFAULT 0, -- when somebody ended it; until was set to this
    decision INTEGER REFERENCES decisions (id)
);
CREATE INDEX blocks_net ON blocks (net, bits);
CREATE INDEX blocks_start ON blocks (start);
CREATE INDEX blocks_until ON blocks (until);
CREATE UNIQUE INDEX blocks_decision ON blocks (decision);
-- The first block has a name of four characters.
INSERT INTO sqlite_sequence (name, seq) VALUES ('blocks', 32768);

-- The raw lines that a decision rests on, in the order in which they were given.
CREATE TABLE evidence (
    id       INTEGER PRIMARY KEY,
    decision INTEGER NOT NULL REFERENCES decisions (id) ON DELETE CASCADE,
    path     TEXT NOT NULL,
    pos      INTEGER NOT NULL,
    time     INTEGER NOT NULL,
    text     BLOB NOT NULL
);
CREATE INDEX evidence_decision ON evidence (decision);

-- Messages that a source delivered, by day.
CREATE TABLE deliveries (
    day    INTEGER NOT NULL,
    source INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    PRIMARY KEY (day, source)
) WITHOUT ROWID;

-- Events of each kind, by day.
CREATE TABLE totals (
    day  INTEGER NOT NULL,
    kind TEXT NOT NULL,
    n    INTEGER NOT NULL,
    PRIMARY KEY (day, kind)
) WITHOUT ROWID;

-- Who did what to the blocks and to the program, by hand.
CREATE TABLE audit (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    who  TEXT NOT NULL,
    what TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX audit_time ON audit (time);
