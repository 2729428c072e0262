"""The validate command on folders and several paths: which files it reads and needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.invalid_config.build import (
    GOOD_ASSETS,
    asset,
    directive,
    directives,
    document,
    source,
    write,
)
from tests.support.invalid_config.command import Validate, command

GOOD = directives(directive())


@pytest.fixture
def validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Validate]:
    yield from command(tmp_path, monkeypatch, capsys)


def test_paths_are_read_in_the_order_given_and_a_folder_by_name(validate: Validate) -> None:
    for name in ("c/directives_b.json", "c/directives_a.json", "z.json"):
        write(name, "")
    write("c/assets_a.json", GOOD_ASSETS)
    files = [line.partition(":")[0] for line in validate("z.json", "c").lines]
    assert files == ["z.json", "c/directives_a.json", "c/directives_b.json"]


def test_only_files_with_names_of_config_are_read_of_a_folder(validate: Validate) -> None:
    write("c/assets_a.json", GOOD_ASSETS)
    write("c/directives_a.json", GOOD)
    for other in ("directives_a.json.bak", "my_assets_a.json", "x.json", "README"):
        write(f"c/{other}", "broken")
    assert validate("c") == (0, "", "2 files, 1 directives, 1 assets: 0 faults, 0 warnings\n")


def test_a_path_that_is_missing(validate: Validate) -> None:
    result = validate("none.json", write("directives_x.json", GOOD), "nowhere")
    assert (result.code, result.out) == (2, "")
    assert "none.json cannot be read: No such file or directory\n" in result.err
    assert "nowhere cannot be read: No such file or directory\n" in result.err
    assert "1 files, 1 directives" in result.err


def test_a_missing_path_does_not_hide_the_faults_of_others(validate: Validate) -> None:
    result = validate("none.json", write("x.json", "[]"))
    assert (result.code, result.codes) == (2, ["wrong-type"])


def test_a_folder_without_config(validate: Validate) -> None:
    write("c/other.json", "{}")
    result = validate("c")
    assert (result.code, result.out) == (2, "")
    names = "assets_*.json, directives_*.json, intel_*.json, vuln_*.json"
    assert f"c holds no config, must hold {names}\n" in result.err


def test_a_file_that_cannot_be_read_does_not_hide_the_faults_of_others(
    validate: Validate,
) -> None:
    write("c/assets_b.json", GOOD_ASSETS)
    write("c/directives_b.json", "[]")
    Path("c/assets_a.json").mkdir()
    Path("c/directives_a.json").symlink_to("gone")
    result = validate("c")
    assert (result.code, result.codes) == (2, ["wrong-type"])
    assert "c/assets_a.json cannot be read: Is a directory\n" in result.err
    assert "c/directives_a.json cannot be read: No such file or directory\n" in result.err


DISABLED = directives(directive(disabled="true"))
TOO_FEW = [
    ({"directives_a.json": GOOD}, "c", "assets"),
    ({"assets_a.json": GOOD_ASSETS}, "c", "directives"),
    (
        {"directives_a.json": GOOD, "assets_a.json": '{"assets": []}'},
        "c/assets_a.json",
        "assets",
    ),
    (
        {"directives_a.json": '{"directives": []}', "assets_a.json": GOOD_ASSETS},
        "c/directives_a.json",
        "directives",
    ),
    (
        {"directives_a.json": DISABLED, "assets_a.json": GOOD_ASSETS},
        "c/directives_a.json",
        "directives",
    ),
]


@pytest.mark.parametrize(("present", "place", "absent"), TOO_FEW)
def test_a_folder_needs_assets_and_directives(
    present: dict[str, str], place: str, absent: str, validate: Validate
) -> None:
    for name, text in present.items():
        write(f"c/{name}", text)
    result = validate("c")
    none = f"there are no {absent} in the folder, must be at least one"
    assert f"{place}:1:1 no-{absent} - - {absent}: {none}" in result.lines
    assert result.code == 1


def test_no_asset_is_a_fault_beside_faults_of_directives(validate: Validate) -> None:
    write("c/assets_a.json", '{"assets": []}')
    write("c/directives_a.json", directives(directive(priority="9")))
    assert sorted(validate("c").codes) == ["no-assets", "out-of-range"]


def test_no_directive_is_a_fault_beside_faults_of_assets(validate: Validate) -> None:
    write("c/assets_a.json", document("assets", asset(value="0")))
    write("c/directives_a.json", '{"directives": []}')
    assert sorted(validate("c").codes) == ["no-directives", "out-of-range"]


def test_faulty_directives_are_not_reported_as_missing_too(validate: Validate) -> None:
    write("c/assets_a.json", document("assets", asset(value="0")))
    write("c/directives_a.json", directives(directive(priority="9")))
    assert validate("c").codes == ["out-of-range", "out-of-range"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("directives.json", "directives"),
        ("directives-b.json", "directives"),
        ("directives_c.JSON", "directives"),
        ("Directives_g.json", "directives"),
        ("directive_x.json", "directives"),
        ("assets.json", "assets"),
        ("Assets_a.json", "assets"),
        ("intel-wise.json", "intel"),
        ("vuln.json", "vuln"),
    ],
)
def test_a_file_whose_name_nearly_fits_is_a_warning(
    name: str, kind: str, validate: Validate
) -> None:
    write("c/assets_a.json", GOOD_ASSETS)
    write("c/directives_a.json", directives(directive()))
    write(f"c/{name}", "{}")
    result = validate("c")
    right = f"looks like a file of {kind}, but is not read: must be named {kind}_*.json"
    assert result.lines == [f"c/{name}:1:1 warning/not-read - - -: {right}"]
    assert result.code == 0


@pytest.mark.parametrize("name", ["config.json", "settings.json", ".directives.json", "x.txt"])
def test_another_file_is_no_warning(name: str, validate: Validate) -> None:
    write("c/assets_a.json", GOOD_ASSETS)
    write("c/directives_a.json", directives(directive()))
    write(f"c/{name}", "{}")
    assert validate("c").lines == []


def test_a_faulty_lookup_source_is_left_out_with_a_warning(validate: Validate) -> None:
    """What only decorates alarms never stops detection."""
    write("c/assets_a.json", GOOD_ASSETS)
    write("c/directives_a.json", directives(directive()))
    write("c/intel_a.json", document("intel_sources", source(plugin='"Unknown"'), source()))
    write("c/vuln_a.json", "{")
    result = validate("--no-strict-lookups", "c")
    assert result.codes == ["warning/unknown-plugin", "warning/bad-json"]
    assert all(line.endswith("; the source is left out") for line in result.lines)
    assert result.code == 0
    assert validate("c").code == 1
