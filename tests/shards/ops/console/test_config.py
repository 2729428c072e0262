"""The effective configuration: settings with their sources, and reloads with their faults."""

from pathlib import Path
from typing import Any

from shards.config.generation import ConfigChanges
from shards.ops.console.excerpts import MAX_LINE, with_excerpts
from shards.ops.overview import Overview
from shards.ops.reload_outcome import ReloadOutcome
from shards.settings.schema import Origin
from tests.support.console import TOKEN, check_schema, running_console, schema_of
from tests.support.history import run
from tests.support.overviews import FAULT, overview, reload_outcome

API = "/api/v1/"


def test_settings_have_their_source_and_no_secrets(tmp_path: Path) -> None:
    origins = {
        "api_token": Origin("variable", "DSIEM_API_TOKEN"),
        "workers": Origin("flag", "--workers"),
        "log_dir": Origin("file", "/etc/dsiem.conf"),
    }

    async def test() -> None:
        more: Any = {"api_token": TOKEN, "frontend": "http://user:pass@frontend:8080"}
        async with running_console(tmp_path, origins=origins, **more) as client:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            answer = await client.get(f"{API}config", headers=headers)
            settings = {one["name"]: one for one in answer.body["settings"]}
            token = settings["api_token"]
            assert (token["value"], token["source"], token["place"]) == (
                *("***", "variable"),
                "DSIEM_API_TOKEN",
            )
            assert settings["frontend"]["value"] == "http://***@frontend:8080"
            assert (settings["workers"]["value"], settings["workers"]["source"]) == (1, "flag")
            assert settings["log_dir"]["place"] == "/etc/dsiem.conf"
            assert settings["cache"]["source"] == "default"
            assert settings["spool"]["value"] is False
            assert settings["tags"]["value"].startswith("Identified Threat,")
            assert TOKEN not in str(answer.body)
            assert "pass@" not in str(answer.body)

    run(test())


def fourth() -> Overview:
    return overview(config_generation=4)


def test_what_is_loaded_is_told(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, get_overview=fourth) as client:
            body = (await client.get(f"{API}config")).body
            assert (body["generation"], body["directives"], body["assets"]) == (4, 3, 2)
            assert body["files"] == [
                {"name": "assets_a.json", "kind": "assets", "items": 2},
                {"name": "directives_a.json", "kind": "directives", "items": 3},
            ]
            assert body["last_reload"] is None

    run(test())


async def reloaded(folder: Path, outcome: ReloadOutcome) -> tuple[int, Any]:
    async def reload() -> ReloadOutcome:
        return outcome

    async with running_console(folder, api_token=TOKEN, reload=reload) as client:
        answer = await client.post(f"{API}reload", headers={"Authorization": f"Bearer {TOKEN}"})
        check_schema(answer.body, schema_of("Reload"))
        return answer.status, answer.body


def test_a_reload_tells_what_has_changed(tmp_path: Path) -> None:
    changes = ConfigChanges(added=[1, 2], changed=[3], unchanged=7, assets=True)

    async def test() -> None:
        outcome = reload_outcome(generation=2, changes=changes, trigger="POST /reload")
        status, body = await reloaded(tmp_path, outcome)
        assert (status, body["outcome"], body["trigger"]) == (200, "applied", "request")
        assert [body[key] for key in ("added", "changed", "removed", "unchanged")] == [2, 1, 0, 7]
        status, body = await reloaded(tmp_path, reload_outcome())
        assert (status, body["outcome"]) == (200, "unchanged")

    run(test())


def test_a_refused_reload_has_each_fault_with_the_lines_around_it(tmp_path: Path) -> None:
    file = tmp_path / "directives_a.json"
    file.write_text("one\ntwo\nthree\nfour\nfive\nsix\n")
    fault = FAULT | {"file": str(file), "line": 3, "column": 2}

    async def test() -> None:
        outcome = reload_outcome(successful=False, problems=[fault] * 300)
        status, body = await reloaded(tmp_path, outcome)
        assert (status, body["outcome"], body["error"]) == (422, "refused", "")
        assert (len(body["problems"]), body["problems_omitted"]) == (200, 100)
        assert body["problems"][0]["excerpt"] == {
            "first_line": 1,
            "first_column": 1,
            "lines": ["one", "two", "three", "four", "five"],
        }

    run(test())


def test_a_reload_that_could_not_be_is_503_with_the_reason(tmp_path: Path) -> None:
    async def test() -> None:
        outcome = reload_outcome(successful=False, error="the service is stopping")
        status, body = await reloaded(tmp_path, outcome)
        assert (status, body["error"]) == (503, "the service is stopping")

    run(test())


def test_where_nothing_can_be_reloaded_that_is_said(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token=TOKEN, reload=None) as client:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            assert (await client.get(f"{API}config", headers=headers)).body["can_reload"] is False
            assert (await client.post(f"{API}reload", headers=headers)).status == 503

    run(test())


# Excerpts by themselves.


def excerpt_of(path: Path, folder: Path, line: int = 1, column: int = 1) -> Any:
    problem = {"file": str(path), "line": line, "column": column}
    return with_excerpts([problem], folder)[0].get("excerpt")


def test_long_lines_are_cut_around_the_column(tmp_path: Path) -> None:
    file = tmp_path / "assets_a.json"
    file.write_text("a" * 500 + "X" + "b" * 5_000_000)
    excerpt = excerpt_of(file, tmp_path, column=501)
    [line] = excerpt["lines"]
    assert len(line) == MAX_LINE
    assert line[501 - excerpt["first_column"]] == "X"


def test_files_that_may_hold_secrets_or_are_elsewhere_are_not_shown(tmp_path: Path) -> None:
    folder, outside = tmp_path / "conf", tmp_path / "directives_outside.json"
    folder.mkdir()
    outside.write_text("outside")
    secret = folder / "intel_wise.json"
    secret.write_text("secret")
    link = folder / "directives_link.json"
    link.symlink_to(outside)
    for path in (outside, secret, link, folder / "directives_missing.json"):
        assert excerpt_of(path, folder) is None


def test_a_place_beyond_the_file_has_no_excerpt(tmp_path: Path) -> None:
    file = tmp_path / "assets_a.json"
    file.write_bytes(b"\xff one line")
    assert excerpt_of(file, tmp_path, line=2) is None
    assert excerpt_of(file, tmp_path)["lines"] == ["\ufffd one line"]
