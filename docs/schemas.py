"""Writes the schemas in shards/schemas/: `python docs/schemas.py`.

A test checks that they are up to date.
"""

import sys
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from shards.schemas.documents import SCHEMAS

FOLDER = Path(__file__).resolve().parent.parent / "shards" / "schemas"


def files() -> dict[Path, bytes]:
    """The content of each file."""
    return {
        FOLDER / f"{name}.schema.json": msgspec.json.format(msgspec.json.encode(make())) + b"\n"
        for name, make in SCHEMAS.items()
    }


if __name__ == "__main__":
    for path, content in files().items():
        path.write_bytes(content)
