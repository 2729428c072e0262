"""JSON Schemas of the files that people write, derived from the tables that check those files."""
