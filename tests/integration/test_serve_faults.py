"""Faults of a running service: after each, all lines are complete and the ledger is exact."""

import json
import os
import resource
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from shards.alarm_files import ALARM_EVENTS, ALARMS
from tests.support.serving import (
    NOT_MEASURED,
    Load,
    NumberedEvents,
    PostAnswer,
    Service,
    ServiceExit,
    counting_directive,
    directives_of,
    read_lines,
    serving,
    wait_until,
    write_config,
)

FIRST, SECOND = (directives_of(worker, 2) for worker in (0, 1))
"""The directives that live in each of two workers."""
LIFE = 3.0
"""Seconds after which nothing may be left of a service whose supervisor was killed."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_config(tmp_path, map(counting_directive, (*FIRST, *SECOND)))
    return tmp_path


def each_once(ids: list[str], expected: list[str]) -> None:
    """Check that these are exactly the expected ids, each once."""
    assert Counter(ids) == Counter(expected)


def check_nothing_lost(service: Service, ended: ServiceExit, load: Load) -> None:
    """Check that each posted event was accepted, consumed, and written once."""
    assert ended.code == 0, service.text()
    ended.ledger.check()
    assert ended.ledger["events_received"] == load.received
    assert ended.ledger["deliveries_consumed"] == ended.ledger.lines == len(load.accepted)
    each_once(service.event_ids(), load.accepted)
    service.alarms()


# A process is killed.


def test_a_worker_killed_under_load_loses_only_its_own_and_comes_back(folder: Path) -> None:
    first, second = NumberedEvents(*FIRST, name="first-"), NumberedEvents(*SECOND, name="second-")
    with serving(folder) as service:
        with Load(service, first) as hurt, Load(service, second) as unhurt:
            service.wait_for_lines(2000)
            os.kill(service.workers[0], signal.SIGKILL)
            service.wait_for_log("a process has died", process="worker-0", code=-9)
            service.wait_for_children(3, gone=service.workers[0])
            late = f"first-{first.made + 500}"
            wait_until(lambda: late in service.event_ids(), "events of its next life")
        ended = service.stop()
        assert ended.code == 0
        ended.ledger.check()
        assert ended.ledger["events_received"] == hurt.received + unhurt.received
        assert ended.ledger["deliveries_dropped_queue_full"] == 0
        ids = service.event_ids()
        assert len(ids) == ended.ledger.lines == ended.ledger["deliveries_consumed"]
        each_once([i for i in ids if i.startswith("second-")], unhurt.accepted)
        missing = Counter(hurt.accepted) - Counter(ids)
        assert not Counter(i for i in ids if i.startswith("first-")) - Counter(hurt.accepted)
        assert ended.ledger.by_reason("deliveries_lost_") in (
            {"worker_died": missing.total()},
            {},
        )
        service.alarms()


def test_events_for_a_dead_worker_wait_for_its_restart(folder: Path) -> None:
    """An idle service loses only what was in flight when the worker died."""
    events = NumberedEvents(FIRST[0])
    with serving(folder) as service:
        assert service.post(events.take(100)).accepted == 100
        service.wait_for_lines(100)
        os.kill(service.workers[0], signal.SIGKILL)
        service.wait_for_log("a process has died", process="worker-0")
        for _ in range(20):
            assert service.post(events.take(10)).accepted == 10
        service.wait_for_lines(280)  # at most the first of these was in flight
        ended = service.stop()
        assert ended.code == 0
        ended.ledger.check()
        assert ended.ledger["events_received"] == 300
        assert ended.ledger.lines == len(service.event_ids()) == 300 - ended.ledger.lost
        assert ended.ledger.lost <= 20


def test_a_router_killed_under_load_comes_back_on_its_port(folder: Path) -> None:
    with serving(folder) as service, Load(service, NumberedEvents(*FIRST, *SECOND)) as load:
        service.wait_for_lines(2000)
        killed = time.monotonic()
        os.kill(service.router, signal.SIGKILL)
        service.wait_for_log("a process has died", process="router", code=-9)
        dead = time.monotonic()
        load.wait_for(20)
        load.finish()
        ended = service.stop()
        assert ended.code == 0
        ledger = ended.ledger
        ledger.check()
        ids = service.event_ids()
        assert len(ids) == ledger.lines == ledger["deliveries_consumed"]
        assert len(set(ids)) == len(ids)
        assert set(ids) <= {*load.accepted, *load.unanswered}
        assert set(ledger.by_reason("deliveries_lost_")) <= {"router_died"}
        gap = ledger["unreported_seconds"]
        assert 0 < gap < 2
        outside = [
            batch.answer.received
            for batch in load.answered
            if not killed - gap - 0.1 < batch.answered < dead
        ]
        assert sum(outside) <= ledger["events_received"] <= load.received + len(load.unanswered)
        after = [b.event_ids for b in load.answered if b.answered > dead]
        assert {i for batch in after for i in batch} <= set(ids)


def test_a_router_that_dies_loses_what_was_queued_and_nothing_it_had_written(
    folder: Path,
) -> None:
    with serving(folder) as service, Load(service, NumberedEvents(*FIRST)) as load:
        os.kill(service.workers[0], signal.SIGSTOP)
        load.wait_for(1)
        first = load.answered[0].answered
        wait_until(lambda: load.answered[-1].answered - first > 1.5, "reports of a long queue")
        os.kill(service.router, signal.SIGKILL)
        service.wait_for_log("a process has died", process="router")
        os.kill(service.workers[0], signal.SIGCONT)
        load.wait_for(5)
        load.finish()
        last = load.accepted[-1]
        wait_until(lambda: last in service.event_ids(), "the last event")
        ended = service.stop()
        assert ended.code == 0
        ended.ledger.check()
        lost = ended.ledger.by_reason("deliveries_lost_")
        assert set(lost) == {"router_died"}
        ids = service.event_ids()
        assert len(ids) == len(set(ids)) == ended.ledger.lines
        assert len(ids) >= 250 + (1 << 16) // 300, "what was in its pipe, and the next life's"
        assert lost["router_died"] <= len(load.accepted) + len(load.unanswered) - len(ids)


def test_both_ends_killed_at_once(folder: Path) -> None:
    with serving(folder) as service, Load(service, NumberedEvents(*FIRST, *SECOND)) as load:
        service.wait_for_lines(1000)
        for pid in (service.workers[0], service.router):
            os.kill(pid, signal.SIGKILL)
        service.wait_for_log("a process has died", process="router")
        service.wait_for_log("a process has died", process="worker-0")
        load.wait_for(20)
        load.finish()
        last = NumberedEvents(*FIRST, *SECOND, name="last-")
        assert service.post(last.take(200)).accepted == 200
        ended = service.stop()
        assert ended.code == 0
        ended.ledger.check()
        ids = service.event_ids()
        assert len(ids) == len(set(ids)) == ended.ledger.lines + ended.ledger["rolled_back"]
        assert len([i for i in ids if i.startswith("last-")]) == 200


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_deaths_leave_no_descriptors_behind(folder: Path) -> None:
    """Neither in the supervisor nor in the other processes."""
    with serving(folder) as service:
        kept = (service.process.pid, service.workers[1])
        before = [descriptors(pid) for pid in kept]
        victims = {"worker-0": service.workers[0], "router": service.router}
        for deaths in (1, 2):
            for name, victim in victims.items():
                os.kill(victim, signal.SIGKILL)
                service.wait_for_log("a process has died", deaths, process=name)
                victims[name] = service.wait_for_children(3, gone=victim)
        wait_until(lambda: not refuses(service), "the last router")
        assert service.post(NumberedEvents(*SECOND).take(20)).accepted == 20
        service.wait_for_lines(20)
        wait_until(
            lambda: [descriptors(pid) for pid in kept] <= before,
            f"as many open files as before, {before}",
            2,
        )


def test_whatever_dies_and_whenever_the_ledger_adds_up(folder: Path) -> None:
    """Workers and routers killed in turn and together, four times each, under load."""
    random = Random(7)
    with serving(folder) as service, Load(service, NumberedEvents(*FIRST, *SECOND)) as load:
        for _ in range(4):
            load.wait_for(random.randrange(1, 15))
            victims = random.sample(service.children(), random.choice((1, 1, 2)))
            for victim in victims:
                os.kill(victim, signal.SIGKILL)
            for victim in victims:
                service.wait_for_children(3, gone=victim)
        load.wait_for(5)
        load.finish()
        ended = service.stop()
        assert ended.code == 0
        ended.ledger.check()
        ids = service.event_ids()
        assert len(ids) == len(set(ids)) == ended.ledger.lines + ended.ledger["rolled_back"]
        assert set(ids) <= {*load.accepted, *load.unanswered}
        assert ended.ledger["events_received"] <= load.received + len(load.unanswered)
        service.alarms()


def test_a_killed_supervisor_leaves_no_process_and_the_next_one_serves(folder: Path) -> None:
    with serving(folder) as service, Load(service, NumberedEvents(*FIRST, *SECOND)) as load:
        service.wait_for_lines(2000)
        service.send_signal(signal.SIGKILL)
        service.wait_until_gone(LIFE)
        load.finish()
    with serving(folder) as again:
        before = again.event_ids()
        assert len(before) == len(set(before)) >= 2000
        assert again.post(NumberedEvents(*FIRST, *SECOND, name="again-").take(100)).accepted == 100
        ended = again.stop()
        assert ended.code == 0
        ended.ledger.check()
        assert ended.ledger.lines == 100
        ids = again.event_ids()
        assert ids[: len(before)] == before
        assert len(ids) == len(before) + 100
        again.alarms()
    assert "Traceback" not in service.text()


def test_a_supervisor_killed_while_it_starts_leaves_nothing(folder: Path) -> None:
    service = Service(folder, ready=False)
    try:
        wait_until(service.children, "a child process")
        service.send_signal(signal.SIGKILL)
        service.wait_until_gone(LIFE)
    finally:
        service.kill_all()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A config larger than any pipe, with directives for each worker."""
    write_config(tmp_path, map(counting_directive, range(1, 3000)))
    return tmp_path


def test_a_worker_killed_during_its_first_start_ends_the_service(large: Path) -> None:
    service = Service(large, ready=False)
    try:
        os.kill(wait_until(service.children, "a child process")[0], signal.SIGKILL)
        ended = service.wait_for_exit(time.monotonic())
        assert ended.code == 1
        assert service.logged("giving up: worker-0")
        service.wait_until_gone()
    finally:
        service.kill_all()


def test_a_worker_killed_during_a_restart_does_not_affect_the_others(large: Path) -> None:
    with serving(large) as service:
        os.kill(service.workers[0], signal.SIGKILL)
        wait_until(lambda: set(service.children()) - {*service.workers, service.router}, "a birth")
        os.kill(service.children()[-1], signal.SIGKILL)
        assert service.post(NumberedEvents(*SECOND).take(100)).accepted == 100
        service.wait_for_lines(100)
        service.wait_for_log("a process has died", 2, process="worker-0")
        assert service.stop().code == 0


def test_too_many_deaths_in_a_short_time_end_the_service(folder: Path) -> None:
    with serving(folder) as service:
        victim = service.workers[1]
        for deaths in range(1, 6):
            os.kill(victim, signal.SIGKILL)
            if deaths < 5:
                service.wait_for_log("a process has died", deaths, process="worker-1")
                victim = service.wait_for_children(3, gone=victim)
                assert (
                    service.post(NumberedEvents(FIRST[0], name=f"{deaths}-").take(1)).accepted == 1
                )
        ended = service.wait_for_exit(time.monotonic())
        assert ended.code == 1
        ended.ledger.check()
        assert ended.ledger["events_received"] == ended.ledger.lines == 4
        assert service.logged("giving up: worker-1")
        service.wait_until_gone()


# A process is stopped by SIGSTOP.


def post_until_full(service: Service, events: NumberedEvents) -> list[PostAnswer]:
    """Post until a queue is full, and ten times more; no answer is delayed. Returns all."""
    answers: list[PostAnswer] = []
    full = 0
    while full < 10:
        assert len(answers) < 2000
        started = time.monotonic()
        answers.append(service.post(events.take(20)))
        assert time.monotonic() - started < 5
        full += answers[-1].status == 429
    return answers


def test_a_stopped_worker_blocks_no_other_and_refused_events_are_counted(
    folder: Path,
) -> None:
    first, second = NumberedEvents(*FIRST, name="first-"), NumberedEvents(*SECOND, name="second-")
    with serving(folder, "--max-queue=100") as service:
        os.kill(service.workers[0], signal.SIGSTOP)
        answers = post_until_full(service, first)
        refused = sum(answer.received - answer.accepted for answer in answers)
        assert refused >= 200
        for _ in range(20):
            assert service.post(second.take(20)).status == 200
        service.wait_for_lines(400)
        assert all(i.startswith("second-") for i in service.event_ids())
        os.kill(service.workers[0], signal.SIGCONT)
        accepted = sum(answer.accepted for answer in answers)
        service.wait_for_lines(400 + accepted)
        assert service.post(first.take(20)).status == 200
        ended = service.stop()
        assert ended.code == 0
        ended.ledger.check()
        assert ended.ledger["events_received"] == first.made + 400
        assert ended.ledger.by_reason("events_dropped_") == {"queue_full": refused}
        assert ended.ledger["deliveries_consumed"] == ended.ledger.lines == 400 + accepted + 20
        assert ended.ledger.lost == 0
        assert len(service.event_ids()) == len(set(service.event_ids())) == ended.ledger.lines


@pytest.mark.parametrize("number", [400, 8000], ids=["all in its pipe", "more than a pipe holds"])
def test_a_stop_is_forced_when_a_worker_does_not_answer(number: int, folder: Path) -> None:
    with serving(folder, "--shutdown-timeout=2") as service:
        os.kill(service.workers[0], signal.SIGSTOP)
        assert service.post(NumberedEvents(*FIRST, *SECOND).take(number)).accepted == number
        ended = service.stop()
        assert ended.code == 1
        assert 2 <= ended.seconds < 4
        service.wait_until_gone()
        ended.ledger.check()
        assert ended.ledger["events_received"] == number
        assert ended.ledger.lines == len(service.event_ids()) == number // 2
        assert ended.ledger.lost == number // 2
        assert service.logged("stopping by force")


def test_a_second_signal_stops_without_waiting(folder: Path) -> None:
    with serving(folder) as service:
        os.kill(service.workers[0], signal.SIGSTOP)
        assert service.post(NumberedEvents(*FIRST, *SECOND).take(40)).accepted == 40
        service.wait_for_lines(20)
        service.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(service), "the source to stop")
        ended = service.stop()
        assert ended.code == 1
        assert ended.seconds < 2
        service.wait_until_gone()
        ended.ledger.check()
        assert ended.ledger.lines == len(service.event_ids())
        assert service.logged("stopping by force")


def refuses(service: Service) -> bool:
    """Whether the service refuses events."""
    try:
        return service.post([]).status == 503
    except OSError:
        return True


# Orderly stops.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_load_processes_all_that_was_accepted(
    number: signal.Signals, folder: Path
) -> None:
    with serving(folder) as service, Load(service, NumberedEvents(*FIRST, *SECOND)) as load:
        service.wait_for_lines(2000)
        started = time.monotonic()
        os.killpg(service.process.pid, number)  # to all processes, like Ctrl-C and systemd
        ended = service.wait_for_exit(started)
        load.finish()
        assert ended.seconds < 8
        check_nothing_lost(service, ended, load)
        service.wait_until_gone()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_it_starts_is_orderly_too(number: signal.Signals, folder: Path) -> None:
    service = Service(folder, ready=False)
    try:
        wait_until(lambda: len(service.children()) == 2, "its workers")
        os.killpg(service.process.pid, number)
        ended = service.wait_for_exit(time.monotonic())
        assert ended.code == 0, service.text()
        service.wait_until_gone()
        assert "Error" not in service.text()
        assert "Interrupt" not in service.text()
    finally:
        service.kill_all()


def test_a_port_in_use_is_logged_in_one_line(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        service = Service(folder, ready=False, port=port)
        try:
            ended = service.wait_for_exit(time.monotonic())
            assert ended.code == 1
            service.wait_until_gone()
            errors = [line["message"] for line in service.log() if line["level"] == "ERROR"]
            assert any(str(port) in error and "in use" in error for error in errors), errors
        finally:
            service.kill_all()


# The disk is full.


class Tmpfs:
    """A small file system of its own for the logs, which can be made larger."""

    def __init__(self, folder: Path) -> None:
        self._logs = folder / "logs"
        self._logs.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(self._logs)],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"no tmpfs here: {done.stderr.decode().strip()}")

    def fill(self, _: Service) -> None:
        """Nothing to do: it is so small that the alarms fill it."""

    def make_room(self, _: Service) -> None:
        subprocess.run(["mount", "-o", "remount,size=64m", str(self._logs)], check=True)

    def close(self) -> None:
        # Lazily, as processes that still have files open there are ended later.
        subprocess.run(["umount", "--lazy", str(self._logs)], check=True)


class Limit:
    """A limit for the size of any file that the supervisor writes, in the middle of a line."""

    def __init__(self, _: Path) -> None:
        pass

    def fill(self, service: Service) -> None:
        most = (30_001, resource.RLIM_INFINITY)
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, most)

    def make_room(self, service: Service) -> None:
        most = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, most)

    def close(self) -> None:
        pass


Disk = Tmpfs | Limit


@pytest.fixture(params=[Tmpfs, Limit])
def disk(request: pytest.FixtureRequest, folder: Path) -> Iterator[Disk]:
    made: Disk = request.param(folder)
    yield made
    made.close()


def fill(service: Service, disk: Disk, events: NumberedEvents) -> None:
    """Post until nothing more can be written."""
    disk.fill(service)
    for _ in range(10):
        assert service.post(events.take(200)).accepted == 200
    service.wait_for_log("alarms cannot be written")
    for _ in range(10):
        assert service.post(events.take(20)).accepted == 20


def test_a_full_disk_tears_no_line_and_loses_none(disk: Disk, folder: Path) -> None:
    events = NumberedEvents(*FIRST, *SECOND)
    with serving(folder) as service:
        fill(service, disk, events)
        assert set(service.event_ids()) < {f"e{i}" for i in range(events.made)}
        service.alarms()
        disk.make_room(service)
        service.wait_for_log("alarms are written again")
        service.wait_for_lines(events.made)
        ended = service.stop()
        assert ended.code == 0
        ended.ledger.check()
        assert ended.ledger["events_received"] == ended.ledger.lines == events.made
        each_once(service.event_ids(), [f"e{i}" for i in range(events.made)])
        assert len(service.alarms()) == events.made // 10 * 2


def test_a_disk_that_stays_full_does_not_delay_a_stop(disk: Disk, folder: Path) -> None:
    events = NumberedEvents(*FIRST, *SECOND)
    with serving(folder, "--shutdown-timeout=1", environment=NOT_MEASURED) as service:
        fill(service, disk, events)
        ended = service.stop()
        assert ended.code == 1
        assert ended.seconds < 4
        service.wait_until_gone()
        ended.ledger.check()
        assert ended.ledger["events_received"] == events.made
        ids = service.event_ids()
        assert len(ids) == len(set(ids)) < events.made
        service.alarms()
        assert any("are lost" in line["message"] for line in service.log())


# The files are rotated.


def rotate(service: Service, number: int) -> None:
    """Rename both files, as logrotate does."""
    for name in (ALARMS, ALARM_EVENTS):
        (service.logs / name).rename(service.logs / f"{name}.{number}")


def test_rotation_under_load_loses_no_line_and_writes_none_twice(folder: Path) -> None:
    with serving(folder) as service, Load(service, NumberedEvents(*FIRST, *SECOND)) as load:
        for number in range(6):
            service.wait_for_lines(300)
            rotate(service, number)
            if number % 2:  # else it notices without the signal
                service.send_signal(signal.SIGUSR1)
            wait_until((service.logs / ALARMS).exists, "a new alarms file")
            wait_until((service.logs / ALARM_EVENTS).exists, "a new alarm events file")
        load.finish()
        ended = service.stop()
        assert ended.code == 0
        ended.ledger.check()
        rotated = [service.logs / f"{ALARM_EVENTS}.{number}" for number in range(6)]
        parts = [read_lines(path) for path in (*rotated, service.logs / ALARM_EVENTS)]
        ids = [str(line["event_id"]) for part in parts for line in part]
        each_once(ids, load.accepted)
        assert ended.ledger.lines == ended.ledger["events_received"] == len(ids)
        paths = [*(service.logs / f"{ALARMS}.{n}" for n in range(6)), service.logs / ALARMS]
        alarms = [line["alarm_id"] for path in paths for line in read_lines(path)]
        assert len(set(alarms)) == ended.ledger["backlogs_opened"]
        assert len(alarms) == ended.ledger["backlogs_opened"] + ended.ledger["backlogs_finished"]


# Invalid events.


def invalid_events() -> list[tuple[bytes, str]]:
    """Invalid events, each with the reason by which it is counted."""
    good = NumberedEvents(FIRST[0]).take(1)[0]

    def changed(**fields: object) -> bytes:
        return json.dumps(good | fields).encode()

    return [
        (b"{", "bad_json"),
        (b"\xff\xfe{}", "bad_json"),
        (b'{"a":' + b"[" * 5000, "bad_json"),
        (b"no json at all", "bad_json"),
        (b"[]", "bad_type"),
        (b"17", "bad_type"),
        (b"null", "bad_type"),
        (b'"text"', "bad_type"),
        (changed(plugin_sid=-1), "bad_type"),
        (changed(plugin_sid=2**64), "bad_type"),
        (changed(event_id=[7]), "bad_type"),
        (changed(event_id=""), "missing_field"),
        (changed(sensor=None), "missing_field"),
        (changed(plugin_id=0), "missing_field"),
        (b"{}", "missing_field"),
        (changed(timestamp="yesterday"), "bad_timestamp"),
        (changed(timestamp="2023-02-30T00:00:00Z"), "bad_timestamp"),
        (changed(src_ip="10.0.0"), "bad_address"),
        (changed(dst_ip="localhost"), "bad_address"),
        (changed(custom_data1="x" * (1 << 20)), "too_large"),
    ]


def test_each_reason_is_counted_exactly(folder: Path) -> None:
    """Invalid events mixed with valid, unmatched and whitelisted ones."""
    events = NumberedEvents(*FIRST, *SECOND)
    hostile = invalid_events()
    reasons = Counter(reason for _, reason in hostile)
    elsewhere = [event | {"plugin_sid": 999_999} for event in NumberedEvents(1, name="u").take(5)]
    scans = [
        event | {"src_ip": "10.0.0.99"} for event in NumberedEvents(FIRST[0], name="w").take(7)
    ]
    with serving(folder) as service:
        mixed: list[bytes | dict[str, object]] = []
        for raw, _ in hostile:
            mixed += [raw, *events.take(2)]
        for body in (mixed, mixed[1::2], [*elsewhere, *scans]):
            answer = service.post(body)
            assert answer.received == len(body)
        alone = [service.post_body(raw) for raw, _ in hostile if not raw.startswith(b"[")]
        assert {answer.status for answer in alone} == {400}
        for raw, reason in hostile:
            if not raw.startswith(b"["):
                reasons[reason] += 1
        second = [raw for raw in mixed[1::2] if isinstance(raw, bytes)]
        for raw in second:
            reasons[next(reason for one, reason in hostile if one == raw)] += 1
        ended = service.stop()
        assert ended.code == 0
        ended.ledger.check()
        assert ended.ledger.by_reason("events_invalid_") == reasons
        assert ended.ledger["events_unmatched"] == 5
        assert ended.ledger["events_whitelisted"] == 7
        routed = sum(isinstance(one, dict) for body in (mixed, mixed[1::2]) for one in body)
        assert ended.ledger["events_routed"] == routed
