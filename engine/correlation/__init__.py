"""Runs directives: backlogs, their stages, expiry, snapshots. `correlator` is the entry point."""
