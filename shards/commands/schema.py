"""The schema command: the JSON Schema of a kind of file.

Made when it is asked for, so that it is that of this version; the files in shards/schemas/ are for
those who have the package and not the command.
"""

from shards.commands.terminal import print_json
from shards.schemas.documents import SCHEMAS


def run(name: str) -> int:
    """Print the schema of this name as JSON; returns the exit code."""
    print_json(SCHEMAS[name]())
    return 0
