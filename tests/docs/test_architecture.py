"""docs/ARCHITECTURE.md has a row for each folder and for each dependency."""

import re
from configparser import ConfigParser

from tests.support.pages import first_column, read_page
from tests.support.paths import ROOT


def test_each_folder_has_a_row() -> None:
    packages = [path.parent for top in ("engine", "shards") for path in ROOT.glob(f"{top}/**/*.py")]
    folders = {f"{package.relative_to(ROOT)}/" for package in packages}
    rows = first_column(read_page("ARCHITECTURE.md"), "folder")
    assert set(rows) == folders
    assert len(rows) == len(folders)


def test_each_dependency_has_a_row() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"].values()
    requirements = "\n".join((setup["options"]["install_requires"], *extras))
    required = set(re.findall(r"^([\w-]+)", requirements, re.MULTILINE))
    table = re.findall(
        r"^\| package \|.*\n\| ---.*\n((?:\|.*\n)+)", read_page("ARCHITECTURE.md"), re.M
    )
    rows = [row.split(" | ")[0] for row in table[0].splitlines()]
    named = {name.lower() for row in rows for name in re.findall(r"[\w-]+", row)}
    assert {name.lower() for name in required} - named == set()
