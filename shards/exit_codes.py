"""Exit codes of the command dsiem-backend; 0 is success.

A leaf of its own, since the command line, every command and the supervisor use them.
"""

INVALID = 1
"""Wrong content, no status of a service, or a service that could not continue."""
NO_PATH = 2
"""A path is missing or unreadable."""
USAGE = 3
"""A wrong command line, variable or settings file."""
INTERRUPTED = 130
"""SIGINT, as a shell reports it."""
BROKEN_PIPE = 141
"""SIGPIPE, as a shell reports it."""
