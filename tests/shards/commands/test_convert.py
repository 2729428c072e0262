"""The convert command: what it prints where, and its exit codes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import cli
from tests.support.ossim import USER_XML, directive, rule

pytestmark = pytest.mark.usefixtures("clean_process")

GOOD = directive(rule(rule(**{"from": "1:SRC_IP"})))


def test_directives_to_stdout_and_the_report_to_stderr(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["convert", "ossim", str(USER_XML)]) == 1
    out, err = capsys.readouterr()
    assert out.startswith('{\n  "directives": [\n    {\n      "id": 500001,\n')
    lines = err.splitlines()
    assert lines[2] == (
        f"{USER_XML}:61:7: error reference-in-list: directive 500005, stage 2, to: is the text "
        '"HOME_NET,!1:DST_IP": a reference in a list cannot be expressed'
    )
    assert lines[-1] == (
        "5 OSSIM directives: 1 left out, 0 only in part; 5 directives written: 2 errors, 4 warnings"
    )
    file = tmp_path / "directives_ossim.json"
    file.write_text(out)
    assert cli.main(["validate", str(file)]) == 0
    assert capsys.readouterr().out == ""


def test_the_report_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["convert", "--format", "json", "ossim", str(USER_XML)]) == 1
    out, err = capsys.readouterr()
    assert len(json.loads(out)["directives"]) == 5
    report = json.loads(err)
    assert report["counts"] == {"read": 5, "left_out": 1, "cut": 0, "written": 5}
    assert (report["errors"], report["warnings"], report["unreadable"]) == (2, 4, [])
    assert report["problems"][2] == {
        "file": str(USER_XML),
        "line": 61,
        "column": 7,
        "severity": "fault",
        "code": "reference-in-list",
        "directive": 500005,
        "stage": 2,
        "field": "to",
        "message": 'is the text "HOME_NET,!1:DST_IP": a reference in a list cannot be expressed',
    }


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_text(GOOD)
    bad.write_text("<directives><directive")
    none = str(tmp_path / "none.xml")
    assert cli.main(["convert", "ossim", str(good)]) == 0
    assert capsys.readouterr().err.startswith("1 OSSIM directive: 0 left out")
    assert cli.main(["convert", "ossim", str(bad), str(good)]) == 1
    assert len(json.loads(capsys.readouterr().out)["directives"]) == 1
    assert cli.main(["convert", "ossim", none, str(good)]) == 2
    out, err = capsys.readouterr()
    assert len(json.loads(out)["directives"]) == 1
    assert f"{none} cannot be read: No such file or directory\n" in err
    assert cli.main(["convert", "ossim", str(tmp_path)]) == 2
    assert "cannot be read: Is a directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("operands", "message"),
    [
        (["sigma", "a.yaml"], "the format is 'sigma', should be ossim"),
        (["ossim"], "convert ossim needs one file or more"),
        ([], "FORMAT FILE"),
    ],
)
def test_usage(operands: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["convert", *operands]) == 3
    assert message in capsys.readouterr().err


def test_the_report_shows_no_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a\n\x1b[31m.xml"
    path.write_text(GOOD.replace('id="7"', 'id="&#10;&#x85;x"') + "<\u00e9/><a\u202eb/>")
    assert cli.main(["convert", "ossim", str(path)]) == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 4
    assert all(line.isprintable() for line in err.splitlines())


def test_more_problems_than_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.xml"
    path.write_text(directive(rule(rule())).replace("</rules>", "<x/>" * 1200 + "</rules>"))
    assert cli.main(["convert", "ossim", str(path)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1002
    assert lines[-2] == "200 more problems are not listed here; --all lists all"
    assert cli.main(["convert", "--all", "ossim", str(path)]) == 0
    assert len(capsys.readouterr().err.splitlines()) == 1201


def login(number: int, seconds: int, sid: int) -> dict[str, Any]:
    time = datetime(2026, 3, 4, 8, tzinfo=UTC) + timedelta(seconds=seconds)
    event = {"event_id": str(number), "timestamp": time.isoformat(), "sensor": "s"}
    numbers = {"dst_port": 22, "plugin_id": 4003, "plugin_sid": sid}
    return {**event, **numbers, "src_ip": "192.0.2.1", "dst_ip": "10.0.0.5"}


def test_converted_directives_raise_the_alarms_that_ossim_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four failed logins and one that succeeds: the alternative for it is finished."""
    cli.main(["convert", "ossim", str(USER_XML)])
    (tmp_path / "directives_ossim.json").write_text(capsys.readouterr().out)
    assets = {"assets": [{"name": "lan", "cidr": "10.0.0.0/8", "value": 5}]}
    (tmp_path / "assets_a.json").write_text(json.dumps(assets))
    events = [login(n, n * 2, 1) for n in range(4)] + [login(9, 30, 7)]
    (tmp_path / "events.ndjson").write_text("\n".join(map(json.dumps, events)))
    folders = ["--config-dir", str(tmp_path), "--log-dir", str(tmp_path / "logs")]
    assert cli.main(["replay", *folders, str(tmp_path / "events.ndjson")]) == 0
    lines = (tmp_path / "logs" / "siem_alarms.json").read_text().splitlines()
    last = {one["alarm_id"]: one for one in map(json.loads, lines)}
    stages = [[stage.get("status") for stage in one["rules"]] for one in last.values()]
    assert stages == [["finished"] * 3, ["finished", "finished", None]]
    assert [one["risk"] for one in last.values()] == [8, 3]
    assert {one["title"] for one in last.values()} == {
        "AV Bruteforce attack, SSH login from 192.0.2.1 against 10.0.0.5"
    }
