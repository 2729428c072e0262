"""Services that share a node name, each with a part of its directives."""

import shutil
import signal
import socket
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from shards.placement import shard_of_directive
from shards.settings.command_line import Command, parse_command
from shards.settings.schema import UsageError
from tests.support.cluster import (
    ENDS,
    GOES_ON,
    OPENS,
    backend,
    frontend_of,
    pair_directive,
    pair_event,
    publish,
)
from tests.support.frontend import Frontend
from tests.support.nats_server import NatsServer
from tests.support.replaying import Json, event
from tests.support.serving import Service, wait_until
from tests.support.stream_server import STREAM, jetstream_server

SIZE = 3
DIRECTIVES = range(1, 25)
SERVE = Command("serve", "")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path) as running:
        yield running


@pytest.fixture
def frontend() -> Iterator[Frontend]:
    with frontend_of(map(pair_directive, DIRECTIVES)) as running:
        yield running


def events() -> list[Json]:
    """Events of finished and unfinished alarms, and events that match no directive."""
    steps = [(OPENS, "a"), (GOES_ON, "b"), (GOES_ON, "c"), (ENDS, "d")]
    made = [
        pair_event(f"{name}{id_}-", id_, does, number)
        for number in range(10)
        for does, name in steps[: 4 if number % 2 else 2]
        for id_ in DIRECTIVES
    ]
    return [*made, *(event(f"other{number}", 0, 9999) for number in range(7))]


def outcome(services: list[Service]) -> tuple[list[Json], list[str]]:
    """The last line of each alarm, without its times, and all alarm events."""
    alarms: dict[str, Json] = {}
    lines: list[str] = []
    for service in services:
        for alarm in service.alarms():
            untimed = {k: v for k, v in alarm.items() if not k.endswith("_time")}
            alarms[alarm["alarm_id"]] = untimed
        lines += (service.logs / "siem_alarm_events.json").read_text().splitlines()
    return sorted(alarms.values(), key=lambda alarm: str(alarm["alarm_id"])), sorted(lines)


def test_three_services_give_exactly_the_alarms_of_one(
    tmp_path: Path, server: NatsServer, frontend: Frontend
) -> None:
    parts = [f"--cluster-size={SIZE}", "--cluster-index"]
    with ExitStack() as stack:
        services: list[Service] = []
        for name, options in [("one", []), *((f"p{i}", [*parts, str(i)]) for i in range(SIZE))]:
            (folder := tmp_path / name).mkdir()
            services.append(
                stack.enter_context(backend(folder, frontend, server.url, *options, workers=2))
            )
        number = publish(server, events())
        one, *others = services
        one.wait_for_lines(number - 7)
        wait_until(
            lambda: sum(service.lines() for service in others) == number - 7, "lines of all parts"
        )
        ended = [service.stop() for service in services]
        alarms, lines = outcome([one])
        assert outcome(others) == (alarms, lines)
        assert len(alarms) == len(DIRECTIVES) * 10
        for service in ended:
            service.ledger.check()
            assert service.ledger["events_received"] == number
            assert service.ledger["events_unmatched"] == 7
        assert ended[0].ledger["events_elsewhere"] == 0
        elsewhere = sum(service.ledger["events_elsewhere"] for service in ended[1:])
        assert elsewhere == (SIZE - 1) * (number - 7)
        for index, service in enumerate(ended[1:]):
            mine = sum(shard_of_directive(id_, SIZE, 1)[0] == index for id_ in DIRECTIVES)
            assert service.ledger["backlogs_opened"] == mine * 10 > 0


def kept(service: Service) -> int:
    """Open backlogs in the crash checkpoint."""
    [path] = (service.logs / "backlogs").glob("checkpoint*.sqlite")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        [(number,)] = connection.execute("SELECT count(*) FROM backlog")
    return int(number)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_node_split_into_parts_restores_the_backlogs_of_its_first_part(
    tmp_path: Path, server: NatsServer, frontend: Frontend, how: signal.Signals
) -> None:
    first = [id_ for id_ in DIRECTIVES if shard_of_directive(id_, 2, 1)[0] == 0]
    with backend(tmp_path, frontend, server.url, "--checkpoint-interval=1") as service:
        publish(server, [pair_event("a", id_, OPENS, 0) for id_ in DIRECTIVES])
        wait_until(lambda: kept(service) == len(DIRECTIVES), "all backlogs in the checkpoint")
        service.send_signal(how)
        service.process.wait()
        service.wait_until_gone()
    with backend(tmp_path, frontend, server.url, "--cluster-size=2", "--cluster-index=0") as spread:
        publish(server, [pair_event(n, id_, GOES_ON, 0) for n in "bc" for id_ in DIRECTIVES])
        spread.wait_for_lines(len(DIRECTIVES) + 2 * len(first))
        ended = spread.stop()
    assert ended.ledger["backlogs_restored"] == len(first)
    if how == signal.SIGKILL:
        return
    left = {int(path.stem) for path in (tmp_path / "logs" / "backlogs").glob("*.json")}
    assert left == set(DIRECTIVES)  # those of the others stay, to be carried over


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_copies_of_checkpoints_carry_backlogs_over_to_log_folders_of_other_services(
    tmp_path: Path, frontend: Frontend, how: signal.Signals
) -> None:
    """As docs/operate.md says, where each service has a log folder of its own."""
    stream = (f"--stream={STREAM}", "--checkpoint-interval=1")
    with jetstream_server(tmp_path / "nats") as server, ExitStack() as stack:

        def publish_for_all(name: str, does: int) -> None:
            publish(server, [pair_event(name, id_, does, 0) for id_ in DIRECTIVES])

        with backend(tmp_path, frontend, server.url, *stream, "--stream-create") as service:
            publish_for_all("a", OPENS)
            wait_until(lambda: kept(service) == len(DIRECTIVES), "all backlogs in the checkpoint")
            service.send_signal(how)
            service.process.wait()
            service.wait_until_gone()
        publish_for_all("b", GOES_ON)
        publish_for_all("c", GOES_ON)
        services: list[Service] = []
        for index in range(SIZE):
            (folder := tmp_path / f"p{index}").mkdir()
            shutil.copytree(service.logs / "backlogs", folder / "logs" / "backlogs")
            part = (f"--cluster-size={SIZE}", f"--cluster-index={index}")
            spread = backend(folder, frontend, server.url, *stream, *part)
            services.append(stack.enter_context(spread))
        lines = 2 * len(DIRECTIVES)
        wait_until(lambda: sum(one.lines() for one in services) >= lines, "all lines")
        ended = [one.stop() for one in services]
    assert sum(one.lines() for one in services) == lines
    restored = [one.ledger["backlogs_restored"] for one in ended]
    assert restored == [
        sum(shard_of_directive(id_, SIZE, 1)[0] == index for id_ in DIRECTIVES)
        for index in range(SIZE)
    ]


@contextmanager
def services_with_one_folder(
    logs: Path, size: int, frontend: Frontend, url: str, *options: str
) -> Iterator[list[Service]]:
    """A node of so many services with this log folder, all of which are killed at the end."""
    with ExitStack() as stack:
        running: list[Service] = []
        for index in range(size):
            folder = logs.parent / uuid.uuid4().hex
            folder.mkdir()
            (folder / "logs").symlink_to(logs)
            part = (f"--cluster-size={size}", f"--cluster-index={index}")
            service = backend(folder, frontend, url, *options, *part, workers=index + 1)
            running.append(stack.enter_context(service))
        yield running


def test_directives_go_on_where_they_were_whatever_the_number_of_services_after_deaths(
    tmp_path: Path, frontend: Frontend
) -> None:
    options = (f"--stream={STREAM}", "--checkpoint-interval=1", "--stream-create")
    steps = [(OPENS, "a"), (GOES_ON, "b"), (GOES_ON, "c"), (ENDS, "d"), (OPENS, "e")]
    (logs := tmp_path / "logs").mkdir()
    with jetstream_server(tmp_path / "nats") as server:
        lines = 0
        for size, (does, name) in zip((1, 2, 3, 2, 1), steps, strict=True):
            events = [
                pair_event(f"{name}{id_}-", id_, does, n) for n in range(50) for id_ in DIRECTIVES
            ]
            with services_with_one_folder(logs, size, frontend, server.url, *options) as running:
                publish(server, events[::2])
                running[0].wait_for_lines(lines + 200)
                publish(server, events[1::2])
            lines += len(events)
        (folder := tmp_path / "one").mkdir()
        with (
            backend(folder, frontend, server.url, *options, "--stream-from=all") as one,
            services_with_one_folder(logs, 1, frontend, server.url, *options) as [last],
        ):
            for service in (one, last):
                service.wait_for_lines(lines)
                assert service.stop().code == 0
            assert outcome([last]) == outcome([one])
            assert len(outcome([one])[0]) == 2 * 50 * len(DIRECTIVES)


@pytest.mark.parametrize(
    ("host", "options", "index"),
    [
        ("backend-2", ["--cluster-size=3"], 2),
        ("backend-12", ["--cluster-size=13"], 12),
        ("backend-2", ["--cluster-size=3", "--cluster-index=1"], 1),
        ("backend-2", [], 0),
        ("backend", ["--cluster-size=1"], 0),
    ],
)
def test_the_index_is_the_ordinal_of_the_host_name(
    monkeypatch: pytest.MonkeyPatch, host: str, options: list[str], index: int
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    assert parse_command(SERVE, options, {}).settings.cluster_part == index


@pytest.mark.parametrize(
    ("host", "options", "said"),
    [
        ("backend-3", ["--cluster-size=3"], "is 3 (derived from the host name backend-3), should"),
        ("backend", ["--cluster-size=2"], "the host name backend does not end in a hyphen and a"),
        ("backend2", ["--cluster-size=2"], "the host name backend2 does not end in a hyphen"),
        ("backend-0", ["--cluster-size=2", "--cluster-index=2"], "is 2 (flag --cluster-index)"),
        ("backend-0", ["--cluster-index=1"], "should be less than --cluster-size"),
        ("backend-0", ["--cluster-index=x"], "should be a whole number from 0"),
    ],
)
def test_an_index_beyond_the_size_is_explained(
    monkeypatch: pytest.MonkeyPatch, host: str, options: list[str], said: str
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    with pytest.raises(UsageError) as raised:
        parse_command(SERVE, options, {})
    assert said in str(raised.value)
    assert raised.value.exit_code == 3
