"""Converts open backlogs to and from the saved backlogs of dsiem-backend."""
