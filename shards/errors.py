"""Errors of the user's environment.

A leaf of its own, since several folders raise and catch them.
"""


class PathError(Exception):
    """A path is missing, unreadable or holds no configuration; the text is for the user."""
