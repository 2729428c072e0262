"""The tables of the history.

A file of its own, so that it can be read beside the queries. Times are in seconds since the epoch;
`written` is when the supervisor has written a line, by its own clock.
"""

APPLICATION_ID = 0x44534849
"""Marks the file as a history of this program."""
SCHEMA_VERSION = 1
BUCKET_SECONDS = 300
"""Length of the buckets in which alarms are counted by directive."""

TABLES = """
CREATE TABLE change (  -- a line of an alarm
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    written REAL NOT NULL,
    risk INTEGER NOT NULL,
    risk_class TEXT NOT NULL,
    stage INTEGER NOT NULL,
    state TEXT NOT NULL
);
CREATE INDEX change_of_alarm ON change (id, sequence);

CREATE TABLE alarm (  -- the last line of each alarm, without its record
    sequence INTEGER PRIMARY KEY,  -- of its last change
    id TEXT NOT NULL UNIQUE,
    directive INTEGER,
    title TEXT NOT NULL,
    kingdom TEXT NOT NULL,
    category TEXT NOT NULL,
    status TEXT NOT NULL,
    tag TEXT NOT NULL,
    risk INTEGER NOT NULL,
    risk_class TEXT NOT NULL,
    state TEXT NOT NULL,
    stage INTEGER NOT NULL,
    stages INTEGER NOT NULL,
    stages_finished INTEGER NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    first_written REAL NOT NULL,
    written REAL NOT NULL,
    source TEXT NOT NULL,  -- the first source address
    src_count INTEGER NOT NULL,
    dst_count INTEGER NOT NULL,
    intel_hits INTEGER NOT NULL,
    vulnerabilities INTEGER NOT NULL,
    names TEXT NOT NULL,  -- asset names by address, as JSON
    src TEXT NOT NULL,  -- addresses with a blank before and after each
    dst TEXT NOT NULL,
    search TEXT NOT NULL  -- what a text filter looks at, case folded
);
CREATE INDEX alarm_directive ON alarm (directive, sequence);
CREATE INDEX alarm_risk ON alarm (risk_class, sequence);
CREATE INDEX alarm_created ON alarm (risk_class, created);
CREATE INDEX alarm_updated ON alarm (updated);

CREATE TABLE record (  -- the last line of each alarm, compressed by zlib
    id TEXT PRIMARY KEY,
    line BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE fired (  -- alarms by directive and time of creation
    directive INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    alarms INTEGER NOT NULL,
    PRIMARY KEY (directive, bucket)
) WITHOUT ROWID;
CREATE INDEX fired_bucket ON fired (bucket);

CREATE TABLE last_fired (
    directive INTEGER PRIMARY KEY,
    created REAL NOT NULL
);

CREATE TABLE directive (  -- those of the configuration that runs
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    kingdom TEXT NOT NULL,
    category TEXT NOT NULL,
    priority INTEGER NOT NULL,
    stages INTEGER NOT NULL,
    worker INTEGER NOT NULL,
    search TEXT NOT NULL
);

CREATE TABLE sample (  -- a minute of a process, or of the service, whose name is ''
    at INTEGER NOT NULL,
    process TEXT NOT NULL,
    seconds REAL NOT NULL,
    events INTEGER NOT NULL,
    alarms INTEGER NOT NULL,
    queue INTEGER NOT NULL,
    lag INTEGER,
    backlogs INTEGER NOT NULL,
    checkpoint_age REAL,
    dropped INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    rolled_back INTEGER NOT NULL,
    late INTEGER NOT NULL,
    PRIMARY KEY (at, process)
) WITHOUT ROWID;

CREATE TABLE incident (
    number INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    process TEXT NOT NULL,
    text TEXT NOT NULL
);

CREATE TABLE position (  -- where the alarm events file ended
    at REAL PRIMARY KEY,
    place BLOB NOT NULL
);

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
"""
