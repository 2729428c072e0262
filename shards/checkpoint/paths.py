"""The paths of open backlogs on disk.

A file of its own, since the supervisor asks for them before there is a checkpointer.
"""

import re
from pathlib import Path
from urllib.parse import quote

from shards.settings.settings import Settings

FOLDER = "backlogs"
"""Folder of the saved files and the checkpoint, in the log folder."""


def checkpoint_path(settings: Settings) -> Path:
    """The checkpoint file of a service: one for each node and part, which may share a folder."""
    return settings.log_dir / FOLDER / f"checkpoint{service_suffix(settings)}.sqlite"


def node_checkpoint_paths(settings: Settings) -> dict[int, Path]:
    """The checkpoint files in the folder of all services of the node, by their numbers."""
    name = re.compile(rf"checkpoint{re.escape(_node_suffix(settings))}(?:\.([1-9]\d*))?\.sqlite")
    found = {}
    for path in (settings.log_dir / FOLDER).glob("checkpoint*.sqlite"):
        if part := name.fullmatch(path.name):
            found[int(part[1] or 0)] = path
    return dict(sorted(found.items()))


def service_suffix(settings: Settings) -> str:
    """The node and the part in names of files, since several services may share a log folder."""
    suffix = _node_suffix(settings)
    # part 0 keeps the name that it had as the only one
    return f"{suffix}.{settings.cluster_part}" if settings.cluster_part else suffix


def _node_suffix(settings: Settings) -> str:
    return f"-{quote(settings.node, safe='')}" if settings.node else ""
