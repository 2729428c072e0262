"""Wheels of packages that are installed here, so that they can be installed elsewhere offline."""

import csv
import io
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_OF_THE_INSTALLER = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")


def write_wheelhouse(folder: Path, *roots: str) -> set[str]:
    """Write a wheel of each package that these require; returns the names of all, with these.

    A root may have an extra, like `nats-py[nkeys]`; the wheel of the program itself is not written.
    """
    found: dict[str, Distribution] = {}
    waiting = [Requirement(root) for root in roots]
    while waiting:
        wanted = waiting.pop()
        package = distribution(wanted.name)
        found[canonicalize_name(wanted.name)] = package
        waiting += [one for one in _required(package, wanted.extras) if not _known(one, found)]
    for name, package in found.items():
        if name != "dsiem-shards":
            _write_wheel(package, folder)
    return set(found)


def _known(requirement: Requirement, found: dict[str, Distribution]) -> bool:
    return canonicalize_name(requirement.name) in found and not requirement.extras


def _required(package: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for text in package.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def _write_wheel(package: Distribution, folder: Path) -> None:
    """Write an installed package as the wheel that it came from, without its commands."""
    tags = [line.split(": ")[1] for line in _text(package, "WHEEL").split("\n") if "Tag: " in line]
    parts = (
        ".".join(sorted(set(part))) for part in zip(*(t.split("-") for t in tags), strict=True)
    )
    name = package.metadata["Name"].replace("-", "_").replace(".", "_")
    rows = [row for row in csv.reader(io.StringIO(_text(package, "RECORD"))) if _is_content(row[0])]
    folder_name = next(
        row[0].split("/")[0] for row in rows if row[0].endswith(".dist-info/METADATA")
    )
    with ZipFile(folder / f"{name}-{package.version}-{'-'.join(parts)}.whl", "w") as wheel:
        for path, *_ in rows:
            wheel.write(str(package.locate_file(path)), path)
        kept = "".join(f"{path},{digest},{size}\n" for path, digest, size in rows)
        wheel.writestr(f"{folder_name}/RECORD", f"{kept}{folder_name}/RECORD,,\n")


def _text(package: Distribution, name: str) -> str:
    text = package.read_text(name)
    assert text, f"{package.name} has no {name}"
    return text


def _is_content(path: str) -> bool:
    """Whether a file was in the wheel: neither a command nor compiled nor of the installer."""
    return not (
        path.startswith("..")
        or path.endswith(".pyc")
        or (".dist-info/" in path and path.rpartition("/")[2] in _OF_THE_INSTALLER)
    )
