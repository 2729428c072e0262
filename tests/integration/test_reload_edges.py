"""Reloads at inconvenient times, and what they do to open backlogs."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.reload_pool import Pool, files_of, probe, variant, version_of
from tests.support.reload_service import (
    ReloadableService,
    SimultaneousReload,
    catches,
    documents,
)
from tests.support.reload_traffic import ReloadTraffic, scenario_event
from tests.support.replaying import Json, event
from tests.support.serving import directives_of, wait_until

FIRST, OTHER = directives_of(0, 2)
SECOND = directives_of(1, 2)[0]
PROBE = directives_of(0, 2, 3)[2]


@pytest.fixture
def http(tmp_path: Path) -> Iterator[ReloadableService]:
    with ReloadableService(tmp_path, "http") as service:
        yield service


def probing_event(name: str) -> Json:
    return event(name, 0, 999_999, product="reloads", category="probing")


def running_version(service: ReloadableService, name: str) -> int:
    """The version that matches an event now, by the alarm of the probe."""
    service.send_and_wait(probing_event(name))
    versions = {version_of(title) for title in service.titles()[-1:]}
    (version,) = versions
    assert version is not None
    return version


def put_version(service: ReloadableService, number: int) -> None:
    service.put_directives(variant(FIRST, 0), probe(PROBE, number))


@pytest.mark.parametrize("seed", range(4))
def test_signals_during_the_start_load_the_files_of_the_last_one(
    http: ReloadableService, seed: int
) -> None:
    pick = random.Random(seed).random
    put_version(http, 1)
    service = http.start(ready=False)
    wait_until(lambda: catches(service.process.pid, signal.SIGHUP), "a handler")
    for number in range(2, 7):
        put_version(http, number)
        service.send_signal(signal.SIGHUP)
        time.sleep(pick() * 0.3)  # at any time of the start
    service.wait_for_log("serving")
    names = (f"e{number}" for number in range(1000))
    wait_until(lambda: running_version(http, next(names)) == 6, "the last version")
    assert http.ops.generation <= 6
    ended = service.stop()
    assert ended.code == 0
    ended.ledger.check()


@pytest.mark.parametrize("order", ["reload first", "stop first"])
@pytest.mark.parametrize("source", ["http", "stream"])
def test_signals_during_the_stop_lose_nothing(source: str, order: str, tmp_path: Path) -> None:
    pool = Pool(7)
    traffic = ReloadTraffic(pool, 7, 40, 400)
    with ReloadableService(tmp_path, source) as reloadable:
        reloadable.put(files_of(pool.latest))
        service = reloadable.start()
        with closing(reloadable.sender()) as sender:
            for _ in range(50):
                sender.send(traffic.next_batch())
        wait_until(
            lambda: reloadable.ops.counts("events")["received"] == len(traffic.sent), "all events"
        )
        reloadable.put(files_of(pool.next()))
        numbers = [signal.SIGHUP, signal.SIGTERM]
        for number in numbers if order == "reload first" else numbers[::-1]:
            service.send_signal(number)
        while service.process.poll() is None:
            service.send_signal(signal.SIGHUP)
            time.sleep(0.02)  # not a flood
        ended = service.wait_for_exit(time.monotonic())
        assert ended.code == 0, service.text()
        ended.ledger.check()
        assert ended.ledger["events_received"] == len(traffic.sent)
        assert ended.ledger.lost == 0
        assert len(service.event_ids()) == ended.ledger.lines > len(traffic.sent)
        service.wait_until_gone()


def test_two_requests_at_once_are_both_answered_and_both_are_true(http: ReloadableService) -> None:
    put_version(http, 1)
    http.start()
    for number in range(2, 12):
        put_version(http, number)
        before = http.ops.generation
        requests = [SimultaneousReload(http.ops) for _ in range(2)]
        answers = [request.answer() for request in requests]
        assert [answer.status for answer in answers] == [200, 200]
        assert {answer.generation for answer in answers} == {before + 1}
        assert sorted({answer.result for answer in answers})[0] == "changed"
        assert running_version(http, f"e{number}") == number
        assert http.ops.generation == before + 1
        assert http.ops.status()["config"]["last_reload"]["generation"] == before + 1


def test_a_reload_without_changes_is_no_generation(http: ReloadableService) -> None:
    put_version(http, 1)
    service = http.start()
    directives = [variant(FIRST, 0), probe(PROBE, 1)]
    turned = [dict(reversed(one.items())) for one in reversed(directives)]
    http.put({"directives_x.json": documents(turned)["directives_a.json"]} | _assets_only())
    answer = http.ops.reload()
    assert (answer.status, answer.result, answer.generation) == (200, "unchanged", 1)
    assert answer.body["directives"]["unchanged"] == 2
    service.send_signal(signal.SIGHUP)
    service.wait_for_log("configuration is unchanged", 2)
    assert http.ops.metric("dsiem_config_generation") == 1


def _assets_only() -> dict[str, bytes]:
    return {"assets_a.json": documents([])["assets_a.json"]}


def test_open_backlogs_of_a_changed_directive_go_on_under_their_rules(
    http: ReloadableService,
) -> None:
    http.put_directives(variant(FIRST, 0), variant(SECOND, 0))
    http.start()
    http.send_and_wait(scenario_event(1, FIRST, 1, 0))
    http.put_directives(variant(FIRST, 2), variant(SECOND, 0))
    answer = http.ops.reload()
    assert (answer.ids("changed"), answer.body["directives"]["unchanged"]) == ([FIRST], 1)
    http.send_and_wait(scenario_event(2, FIRST, 1, 2))
    # What each of them wants, and the other does not.
    http.send_and_wait(scenario_event(1, FIRST, 2, 0), scenario_event(2, FIRST, 2, 2))
    http.send_and_wait(scenario_event(1, FIRST, 3), scenario_event(2, FIRST, 3))
    ended = http.service.stop()
    ended.ledger.check()
    assert ended.ledger["backlogs_finished"] == 2
    last = {alarm["alarm_id"]: alarm for alarm in http.service.alarms()}
    found = [(one["title"].split(", ")[1], len(one["rules"]), one["risk"]) for one in last.values()]
    assert found == [("variant 0", 3, 10), ("variant 2", 3, 8)]


def test_backlogs_of_a_removed_or_disabled_directive_end_without_a_line(
    http: ReloadableService,
) -> None:
    """Also when it comes back: it begins anew."""
    kept = variant(SECOND, 0)
    http.put_directives(variant(FIRST, 0), variant(OTHER, 0), kept)
    http.start()
    ids = FIRST, OTHER, SECOND
    http.send_and_wait(*(scenario_event(number, id_, 1) for number, id_ in enumerate(ids, 1)))
    alarms = http.service.alarms()
    http.put_directives(variant(FIRST, 0) | {"disabled": True}, kept)
    answer = http.ops.reload()
    assert answer.ids("removed") == sorted([FIRST, OTHER])
    wait_until(lambda: http.ops.counts("backlogs").get("removed") == 2, "removed")
    http.put_directives(variant(FIRST, 0), variant(OTHER, 0), kept)
    assert http.ops.reload().ids("added") == sorted([FIRST, OTHER])
    for number, id_ in enumerate(ids, 1):
        http.send(scenario_event(number, id_, 2), scenario_event(number, id_, 3))
    http.service.wait_for_lines(5)
    ended = http.service.stop()
    ended.ledger.check()
    assert ended.ledger["backlogs_removed"] == 2
    assert ended.ledger["backlogs_finished"] == 1
    assert http.service.lines() == 5
    assert len({alarm["alarm_id"] for alarm in http.service.alarms()}) == len(alarms) == 3


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("when", ["while it runs", "while it is down"])
def test_changed_directives_keep_their_backlogs_over_a_restart(
    http: ReloadableService, when: str, end: str
) -> None:
    http.put_directives(variant(FIRST, 0), variant(SECOND, 0), variant(OTHER, 0))
    http.start()
    opened = [scenario_event(n, id_, 1) for n, id_ in enumerate((FIRST, SECOND, OTHER), 1)]
    http.send_and_wait(*opened)
    http.put_directives(variant(FIRST, 2), variant(SECOND, 0))
    if when == "while it runs":
        http.ops.reload()
        http.send_and_wait(scenario_event(4, FIRST, 1, 2))
    if end == "stop":
        assert http.service.stop().code == 0
    else:
        time.sleep(2.5)  # there is a checkpoint
        http.kill_all()
    http.start()
    assert http.ops.counts("backlogs")["open"] == (3 if when == "while it runs" else 2)
    http.send_and_wait(scenario_event(1, FIRST, 2, 0), scenario_event(2, SECOND, 2, 0))
    http.send_and_wait(scenario_event(1, FIRST, 3), scenario_event(2, SECOND, 3))
    http.send(scenario_event(3, OTHER, 2), scenario_event(3, OTHER, 3))
    if when == "while it runs":
        http.send_and_wait(scenario_event(4, FIRST, 2, 2), scenario_event(4, FIRST, 3))
    ended = http.service.stop()
    assert ended.code == 0
    ended.ledger.check()
    finished = {
        alarm["title"].rpartition(",")[0]
        for alarm in http.service.alarms()
        if all(rule.get("status") == "finished" for rule in alarm["rules"])
    }
    wanted = {f"directive {FIRST}, variant 0", f"directive {SECOND}, variant 0"}
    wanted |= {f"directive {FIRST}, variant 2"} if when == "while it runs" else set()
    assert finished == wanted
    ids = http.service.event_ids()
    assert len(ids) == len(set(ids))


def test_a_folder_that_is_missing_or_unreadable_changes_nothing(
    http: ReloadableService, tmp_path: Path
) -> None:
    put_version(http, 1)
    http.start()
    (tmp_path / "conf").rename(tmp_path / "elsewhere")
    answer = http.ops.reload()
    assert (answer.status, answer.result, answer.generation) == (503, "failed", 1)
    assert str(tmp_path / "conf") in answer.body["error"]
    assert running_version(http, "e1") == 1
    (tmp_path / "elsewhere").rename(tmp_path / "conf")
    put_version(http, 2)
    assert http.ops.reload().generation == 2
    assert running_version(http, "e2") == 2
