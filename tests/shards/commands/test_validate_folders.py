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
    for other in ("kingdom.json", "directives_a.json.bak", "my_assets_a.json", "x.json", "README"):
        write(f"c/{other}", "broken")
    assert validate("c") == (
        0,
        "",
        "2 files, 1 directive, 1 asset: 0 faults, 0 warnings, 0 lints\n",
    )


NEARLY = {
    **dict.fromkeys(
        ("directives.json", "directives-b.json", "directives_c.JSON", "Directives_g.json"),
        "a directives file, but is not read: must be named directives_*.json",
    ),
    **dict.fromkeys(
        ("directive_a.json", "direcitves_a.json", " directives_a.json", "directives_a.json.txt"),
        "a directives file, but is not read: must be named directives_*.json",
    ),
    **dict.fromkeys(
        ("assets.json", "asset_lan.json", "Assets-lan.json"),
        "an assets file, but is not read: must be named assets_*.json",
    ),
    "intel.json": "an intel file, but is not read: must be named intel_*.json",
    "vulnerabilities_x.json": "a vuln file, but is not read: must be named vuln_*.json",
}


@pytest.mark.parametrize("name", NEARLY)
def test_a_file_whose_name_nearly_fits_gets_a_warning(name: str, validate: Validate) -> None:
    write("c/assets_x.json", GOOD_ASSETS)
    write("c/directives_x.json", GOOD)
    write(f"c/{name}", "broken")
    result = validate("c")
    assert result.lines == [f"c/{name}:1:1: warning unread-file: looks like {NEARLY[name]}"]
    assert result.code == 0
    assert result.err == "2 files, 1 directive, 1 asset: 0 faults, 1 warning, 0 lints\n"


def test_a_file_with_the_content_of_a_configuration_gets_a_warning(validate: Validate) -> None:
    write("c/assets_x.json", GOOD_ASSETS)
    write("c/directives_x.json", GOOD)
    write("c/soc.json", GOOD)
    write("c/.hidden.json", GOOD)
    write("c/lan.json", GOOD_ASSETS)
    result = validate("c")
    assert result.lines == [
        f"c/{name}:1:1: warning unread-file: looks like {NEARLY[like]}"
        for name, like in (("lan.json", "assets.json"), ("soc.json", "directives.json"))
    ]


def test_files_that_are_only_like_configuration_are_named_without_it_too(
    validate: Validate,
) -> None:
    write("c/directives.json", GOOD)
    result = validate("c")
    assert (result.code, result.codes) == (2, ["warning/unread-file"])
    assert "c holds no config" in result.err


BROKEN_LOOKUPS = {
    "intel_a.json": "{",
    "intel_b.json": document("intel_sources", source(plugin='"Wsie"'), source(), source(name='""')),
    "vuln_a.json": document("vuln_sources", "5"),
    "vuln_b.json": '{"vuln_sources": [], "vuln_sources": []}',
}


def test_a_faulty_lookup_source_is_left_out_with_a_warning(validate: Validate) -> None:
    write("c/assets_x.json", GOOD_ASSETS)
    write("c/directives_x.json", GOOD)
    for name, text in BROKEN_LOOKUPS.items():
        write(f"c/{name}", text)
    Path("c/vuln_c.json").symlink_to("gone")
    result = validate("c")
    assert result.code == 0
    codes = ["bad-json", "unknown-plugin", "empty", "wrong-type", "duplicate-key", "unreadable"]
    assert result.codes == [f"warning/{code}" for code in codes]
    ends = [line.rpartition("; ")[2] for line in result.lines]
    assert ends == [
        *("the file is left out", "the source is left out", "the source is left out"),
        *("the source is left out", "the last is taken", "the file is left out"),
    ]
    strict = validate("--strict-lookups", "c")
    assert (strict.code, strict.codes) == (2, codes[:-1])


def test_a_path_that_is_missing(validate: Validate) -> None:
    result = validate("none.json", write("directives_x.json", GOOD), "nowhere")
    assert (result.code, result.out) == (2, "")
    assert "none.json cannot be read: No such file or directory\n" in result.err
    assert "nowhere cannot be read: No such file or directory\n" in result.err
    assert "1 file, 1 directive" in result.err


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
    assert f"{place}:1:1: error no-{absent}: {absent}: {none}" in result.lines
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
