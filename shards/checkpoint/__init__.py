"""Persistence of open backlogs: checkpoints, saved files, recovery."""
