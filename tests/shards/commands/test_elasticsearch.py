"""Commands that read recorded events, with `--elasticsearch`: as with files, or an error."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from loguru import logger

from shards.exit_codes import INTERRUPTED, INVALID, NO_PATH, USAGE
from shards.replay.event_reader import EventReader
from shards.settings.settings import Settings
from shards.sources import elasticsearch, elasticsearch_client
from shards.sources.recorded_event import RecordedEvent
from tests.support.commands import Ran, Run, write_events
from tests.support.elasticsearch import INDEX, Elasticsearch, error_reply
from tests.support.replaying import LOGIN, LOGIN_AGAIN, Json, directive, event, rule, write_config

pytestmark = pytest.mark.integration  # real servers

STORY = [
    event("a", 0, LOGIN, dst_ip="10.0.0.80"),
    event("b", 1, LOGIN_AGAIN, dst_ip="10.0.0.80"),
    event("c", 2, LOGIN_AGAIN, dst_ip="10.0.0.80"),
]
DIFF_NEEDS = (
    "diff needs OLD and NEW, two config folders, and at least one EVENTS or --elasticsearch"
)
NO_URL = (
    "is no URL of a server, must be one like http://host:8080; special characters of a user or a"
    " password as %23"
)
GIVEN = "--elasticsearch (DSIEM_ELASTICSEARCH) is given"
COMMANDS = {
    "replay": ["replay", "--config-dir", "conf", "--alarms"],
    "stats": ["stats", "--config-dir", "conf"],
    "explain": ["explain", "--config-dir", "conf"],
    "diff": ["diff", "conf", "other"],
}


@pytest.fixture
def server() -> Iterator[Elasticsearch]:
    with Elasticsearch() as started:
        yield started


@pytest.fixture
def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    clean_process: None,  # noqa: ARG001
) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(elasticsearch_client, "RETRY_PAUSES", (0.0,))
    write_config()
    write_config([directive(1, rule(1, LOGIN), rule(2, LOGIN_AGAIN))], folder="other")
    yield Run(capsys)
    logger.remove()


def replayed(run: Run, *arguments: str) -> Ran:
    return run("replay", "--config-dir", "conf", "--format", "json", *arguments)


def comparable(ran: Ran) -> Json:
    """What --format json said, without how long it took and where the events come from."""
    document = ran.document
    for explained in document["events"] if isinstance(document.get("events"), list) else ():
        del explained["place"]
    return {key: value for key, value in document.items() if "second" not in key}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_the_same_as_of_a_file(
    name: str, run: Run, server: Elasticsearch
) -> None:
    write_events(*STORY)
    server.add(*reversed(STORY))
    command = [*COMMANDS[name], "--format", "json"]
    from_file = run(*command, "events.ndjson")
    from_server = run(*command, "--elasticsearch", server.url)
    assert (from_file.code, from_server.code) == (0, 0), from_server.err
    assert comparable(from_server) == comparable(from_file)
    assert server.open == {}


def test_another_order_than_that_of_the_timestamps_is_reported_and_sorted(
    run: Run, server: Elasticsearch
) -> None:
    server.add(*(event(f"e{n}", n, LOGIN) for n in range(4)))
    late = json.dumps(event("late", -999, LOGIN)).encode()
    server.documents = [
        one._replace(source=late) if n == 2 else one for n, one in enumerate(server.documents)
    ]
    assert "1 event came late" in replayed(run, "--elasticsearch", server.url).err
    result = replayed(run, "--elasticsearch", server.url, "--sort")
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize("options", [[], ["--sort"]])
def test_what_is_invalid_is_logged_with_index_and_id(
    options: list[str], run: Run, server: Elasticsearch
) -> None:
    server.add(STORY[0], b"{}", None, STORY[1])
    result = replayed(run, "--elasticsearch", server.url, "--json", *options)
    places = [json.loads(line)["place"] for line in result.err.splitlines()]
    assert places == [f"{INDEX}/id000001", f"{INDEX}/id000002"]
    assert result.document["ledger"]["events"]["invalid"]["missing_field"] == 2
    assert result.code == 0


def test_no_documents_are_said(run: Run, server: Elasticsearch) -> None:
    result = replayed(run, "--elasticsearch", server.url, "--from", "now-1d")
    assert result.err == "no document of siem_events* is within --from, --to and --query\n"
    assert result.code == 0


def test_a_server_that_is_lost_on_the_way_is_1(
    run: Run, server: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elasticsearch, "MAX_PAGE", 2)
    server.add(*STORY)
    server.faults = [None, *[error_reply(503, "any", "no shard")] * 2]
    result = replayed(run, "--elasticsearch", server.url)
    assert result.code == INVALID
    assert result.err == (f"stopped: {server.url}/_search fails (status 503); it says: no shard\n")
    assert result.document["ledger"]["events"]["received"] == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_a_server_that_is_not_there_is_2(name: str, run: Run) -> None:
    result = run(*COMMANDS[name], "--elasticsearch", "http://127.0.0.1:1")
    assert (result.code, result.out) == (NO_PATH, "")
    assert result.err == "http://127.0.0.1:1/ cannot be read: Connection refused\n"


def test_a_wrong_login_is_2_and_not_shown(
    run: Run, server: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.authorization = "Basic right"
    monkeypatch.setenv("DSIEM_ELASTICSEARCH_USERNAME", "ann")
    monkeypatch.setenv("DSIEM_ELASTICSEARCH_PASSWORD", "hunter2")
    result = replayed(run, "--elasticsearch", server.url)
    assert (result.code, result.out) == (NO_PATH, "")
    assert "refuses the login (status 401)" in result.err
    assert "hunter2" not in result.err
    assert server.asked[-1].login == "ann:hunter2"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["replay"], "there are no EVENTS: files should be given, or --elasticsearch"),
        (["stats"], "there are no EVENTS: files should be given, or --elasticsearch"),
        (
            ["explain", "--elasticsearch", "http://a", "x"],
            f"{GIVEN} and x, should be one of them: an index or files",
        ),
        (
            ["diff", "conf", "--elasticsearch", "http://a"],
            DIFF_NEEDS,
        ),
        (
            ["replay", "--config-dir", "conf", "--elasticsearch", "http://a:99999"],
            f"--elasticsearch: http://a:99999 {NO_URL}",
        ),
        (
            ["replay", "--config-dir", "conf", "--elasticsearch", "https://[::1:9200"],
            f"--elasticsearch: https://[::1:9200 {NO_URL}",
        ),
        (
            ["test", "conf", "--record", "-", "--directive", "1", "--elasticsearch", "http://a"],
            "--record is standard input, should be a new file with --elasticsearch",
        ),
        (
            ["test", "conf", "--elasticsearch", "http://a"],
            "--elasticsearch is for --record: tests do not read events from a server",
        ),
    ],
)
def test_wrong_usage_is_3(arguments: list[str], text: str, run: Run) -> None:
    assert run(*arguments) == Ran(USAGE, "", f"dsiem-backend: {text}\n")


def test_an_interrupt_closes_the_point_in_time(server: Elasticsearch) -> None:
    server.add(*STORY)

    def process(_: RecordedEvent) -> None:
        assert server.open
        raise KeyboardInterrupt

    reader = EventReader([], Settings(elasticsearch=server.url, max_future=0))
    reader.read(process, lambda _: None)
    assert (reader.exit_code, server.open) == (INTERRUPTED, {})


# test --record


def recorded(run: Run, server: Elasticsearch, *more: str) -> Ran:
    options = ["--record", "conf/rec.ndjson", "--directive", "1", "--elasticsearch", server.url]
    return run("test", "conf", *options, *more)


def test_what_is_recorded_needs_no_server(run: Run, server: Elasticsearch) -> None:
    others = [event(f"o{n}", n, 99) for n in range(4)]
    server.add(*others, b"{\n}", *STORY)
    result = recorded(run, server)
    server.stop()
    assert result.code == 0
    assert "conf/rec.ndjson: 3 events for the rules of directive 1\n" in result.err
    assert f"{INDEX}/id000004" in result.err
    lines = Path("conf/rec.ndjson").read_text().splitlines()
    assert [json.loads(line) for line in lines] == STORY
    Path("conf/a_test.yaml").write_text(result.out)
    assert run("test", "conf").code == 0


def test_a_long_recording_is_named_by_the_test(run: Run, server: Elasticsearch) -> None:
    server.add(*(event(f"e{n}", n, LOGIN, src_ip=f"192.0.2.{n % 250}") for n in range(501)))
    result = recorded(run, server)
    assert yaml.safe_load(result.out)["tests"][0]["events"] == [{"file": "rec.ndjson"}]
    Path("conf/a_test.yaml").write_text(result.out)
    assert run("test", "conf").code == 0


def test_documents_of_several_lines_become_one(run: Run, server: Elasticsearch) -> None:
    server.add(*STORY)
    server.documents = [
        one._replace(source=(one.source or b"").replace(b", ", b",\r\n"))
        for one in server.documents
    ]
    assert recorded(run, server).code == 0
    assert Path("conf/rec.ndjson").read_bytes().count(b"\n") == 3


def test_an_existing_file_is_not_replaced(run: Run, server: Elasticsearch) -> None:
    Path("conf/rec.ndjson").write_text("mine")
    result = recorded(run, server)
    text = (
        "conf/rec.ndjson exists; with --elasticsearch (DSIEM_ELASTICSEARCH), --record makes a new"
        " file\n"
    )
    assert result == Ran(NO_PATH, "", text)
    assert Path("conf/rec.ndjson").read_text() == "mine"


def test_a_file_that_cannot_be_written_is_2(run: Run, server: Elasticsearch) -> None:
    server.add(*STORY)
    options = ["--record", "none/rec.ndjson", "--directive", "1", "--elasticsearch", server.url]
    result = run("test", "conf", *options)
    assert result.code == NO_PATH
    assert result.err == "none/rec.ndjson cannot be written: No such file or directory\n"


@pytest.mark.parametrize(
    ("select", "faults", "text"),
    [
        ("now-1d", 0, "nothing was recorded: no event is for a rule of directive 1"),
        ("2025-03-04", 9, "stopped: "),
    ],
)
def test_nothing_is_left_if_nothing_is_recorded(
    select: str,
    faults: int,
    text: str,
    run: Run,
    server: Elasticsearch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(elasticsearch, "MAX_PAGE", 2)
    server.add(*STORY)
    server.faults = [None, *[error_reply(500, "any", "disk")] * faults]
    result = recorded(run, server, "--from", select)
    assert (result.code, result.out) == (INVALID, "")
    assert text in result.err
    assert list(Path("conf").glob("rec*")) == []
