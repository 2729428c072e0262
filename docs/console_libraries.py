"""Writes the libraries of the console's page: `python docs/console_libraries.py`.

It needs npm, which downloads each package of libraries.json and checks it; its integrity and the
SHA-256 of each file that is kept are in libraries.json, so a changed package is an error. To take
another version: edit it there, and pass `--accept`.

The files are as in the packages, but that an import names a file, as browsers want it, and that no
source map is asked for. A test checks that the files are those of libraries.json.
"""

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "shards/ops/console/static/vendor"
LIST = FOLDER / "libraries.json"
_IMPORT = re.compile(rb'from"preact"')
_SOURCE_MAP = re.compile(rb"\n?//# sourceMappingURL=\S+\n?$")


def sha256(content: bytes) -> str:
    """The SHA-256 of a file in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def adapt(content: bytes) -> bytes:
    """A module whose imports are files, and that has no source map."""
    content = _IMPORT.sub(b'from"./preact.mjs"', content)
    return _SOURCE_MAP.sub(b"", content).rstrip() + b"\n"


def download(package: str, folder: str) -> tuple[Path, str]:
    """The archive of a package (`name@version`) in the folder, and its integrity."""
    command = ["npm", "pack", package, "--json", "--pack-destination", folder]
    run = subprocess.run(command, check=True, capture_output=True)
    packed = json.loads(run.stdout)
    about = packed[0] if isinstance(packed, list) else next(iter(packed.values()))
    return Path(folder) / about["filename"], about["integrity"]


def read_package(library: dict[str, Any], accept: bool) -> dict[str, bytes]:
    """The files of a library by their names here; updates its integrity if that is accepted."""
    package = f"{library['name']}@{library['version']}"
    with tempfile.TemporaryDirectory() as folder:
        archive, integrity = download(package, folder)
        if not accept and integrity != library["integrity"]:
            raise SystemExit(f"{package} has integrity {integrity}, not that of {LIST.name}")
        library["integrity"] = integrity
        with tarfile.open(archive) as members:
            return {
                name: _content(members, file["from"]) for name, file in library["files"].items()
            }


def _content(members: tarfile.TarFile, name: str) -> bytes:
    member = members.extractfile(f"package/{name}")
    assert member is not None, name
    content = member.read()
    return adapt(content) if name.endswith(("js", "mjs")) else content


def main(accept: bool) -> None:
    """Write all files, and with `accept` the list."""
    libraries = json.loads(LIST.read_bytes())
    for library in libraries:
        for name, content in read_package(library, accept).items():
            file = library["files"][name]
            if not accept and sha256(content) != file["sha256"]:
                raise SystemExit(f"{name} of {library['name']} is not that of {LIST.name}")
            file["sha256"] = sha256(content)
            (FOLDER / name).write_bytes(content)
    LIST.write_text(json.dumps(libraries, indent=2) + "\n")


if __name__ == "__main__":
    main("--accept" in sys.argv[1:])
