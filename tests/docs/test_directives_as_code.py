"""What docs/directives-as-code.md and docs/directives.md say of commands is what these print."""

import re
from pathlib import Path

import pytest
from msgspec.structs import fields

import cli
from shards.directive_tests.test_file import DirectiveTest, DirectiveTestFile, Expectation
from tests.support.pages import FENCE, first_column, read_page

PAGE = "directives-as-code.md"
FILES = ("assets_vpn.json", "directives_vpn.json", "vpn_test.yaml")

pytestmark = pytest.mark.usefixtures("clean_process")


def blocks(page: str) -> dict[str, str]:
    """The blocks of a page by the word after their language."""
    found = ((*kind.partition(" "), text) for kind, text in FENCE.findall(read_page(page)))
    return {name: text for _, _, name, text in found if name}


def without_seconds(text: str) -> str:
    return re.sub(r"(?<= in )([0-9.]+ s|…)$", "", text.strip())


def test_the_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("vpn").mkdir()
    shown = blocks(PAGE)
    for name in FILES:
        Path("vpn", name).write_text(shown[name])
    assert cli.main(["validate", "vpn"]) == 0
    capsys.readouterr()

    assert cli.main(["test", "vpn"]) == 1
    assert without_seconds(capsys.readouterr().out) == without_seconds(shown["failure"])

    directives = Path("vpn/directives_vpn.json")
    directives.write_text(directives.read_text().replace('"timeout": 20,', '"timeout": 120,'))
    assert cli.main(["test", "vpn", "--coverage"]) == 0
    assert without_seconds(capsys.readouterr().out) == without_seconds(shown["coverage"])

    with Path("vpn/vpn_test.yaml").open("a") as file:
        file.write(shown["another test"])
    assert cli.main(["test", "vpn", "--coverage"]) == 0
    assert "stage 2" not in capsys.readouterr().out


def test_a_typo_a_silence_a_test_and_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = blocks("directives.md")
    for folder in ("mine", "changed"):
        Path(folder).mkdir()
        for name in ("assets", "directives"):
            Path(folder, f"{name}_mine.json").write_text(shown[name])
    Path("mine/events.ndjson").write_text(shown["events"])
    directives = Path("mine/directives_mine.json")
    on_events = ("mine/events.ndjson", "--directive", "100")

    directives.write_text(shown["directives"].replace('"occurrence": 3', '"occurence": 3'))
    assert cli.main(["validate", "mine"]) == 1
    assert capsys.readouterr().out == shown["typo"]

    slower = shown["directives"].replace('"timeout": 300', '"timeout": 3')
    directives.write_text(slower)
    assert cli.main(["explain", "--config-dir", "mine", *on_events]) == 0
    assert capsys.readouterr().out.startswith(shown["silence"])

    directives.write_text(shown["directives"])
    assert cli.main(["test", "mine", "--record", *on_events]) == 0
    assert capsys.readouterr().out == shown["recorded"]
    Path("mine/mine_test.yaml").write_text(shown["recorded"])
    assert cli.main(["test", "mine", "--fail-under", "100"]) == 0
    capsys.readouterr()

    Path("changed/directives_mine.json").write_text(slower)
    assert cli.main(["diff", "mine", "changed", "mine/events.ndjson"]) == 0
    assert "0 new, 1 gone, 0 changed, 0 unchanged alarms" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("head", "type_"),
    [
        ("key of the file", DirectiveTestFile),
        ("key of a test", DirectiveTest),
        ("key of an expectation", Expectation),
    ],
)
def test_each_key_is_documented(head: str, type_: type) -> None:
    documented = first_column(read_page(PAGE), head)
    assert set(documented) == {field.encode_name for field in fields(type_)}
