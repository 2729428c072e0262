"""The thread of the history and its file: bounds, restarts, damage, troubles."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from shards.history import pending_rows
from shards.history.alarm_filter import AlarmFilter
from shards.history.alarm_queries import AlarmPage, get_alarm, list_alarms
from shards.history.history import MAX_JOBS, History, HistoryError
from shards.history.limits import HistoryLimits, bytes_used
from shards.history.pending_rows import MAX_LINES
from shards.history.service_rows import Incident, Sample, flow_history
from tests.support.history import NOW, Clock, about, add, alarm_line, run, running_history, written

Connection = sqlite3.Connection


def all_alarms(history: Connection) -> AlarmPage:
    return list_alarms(history, AlarmFilter(), 1000)


async def ids(history: History) -> list[str]:
    return [alarm.id for alarm in (await history.read(all_alarms)).alarms]


def test_an_alarm_has_the_last_of_its_lines_and_the_highest_sequence(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_history(tmp_path / "h") as history:
            await add(history, [alarm_line("a"), alarm_line("b")], {"a": about(7)})
            first = history.sequence
            await add(history, [alarm_line("a", finished=3, risk=9, risk_class="High")])
            page = await history.read(all_alarms)
            assert [alarm.id for alarm in page.alarms] == ["a", "b"]
            alarm = page.alarms[0]
            assert (alarm.directive, alarm.state, alarm.risk, alarm.stages_finished) == (
                *(7, "finished", 9),
                3,
            )
            assert alarm.sequence == history.sequence == first + 1
            stored = await history.read(lambda db: get_alarm(db, "a"))
            assert stored is not None
            assert [change.state for change in stored.changes] == ["open", "finished"]
            assert stored.record + b"\n" == alarm_line("a", finished=3, risk=9, risk_class="High")

    run(test())


def test_listeners_get_each_new_highest_sequence_in_the_event_loop(tmp_path: Path) -> None:
    async def test() -> None:
        seen: list[tuple[int, bool]] = []
        history, main = History(tmp_path / "h"), threading.current_thread()
        history.start(lambda n: seen.append((n, threading.current_thread() is main)))
        await add(history, [alarm_line("a"), alarm_line("b")])
        await asyncio.sleep(0)
        assert seen == [(history.sequence, True)]
        history.close()

    run(test())


def test_what_was_added_before_the_start_is_not_lost(tmp_path: Path) -> None:
    async def test() -> None:
        history = History(tmp_path / "h")
        history.add_lines(alarm_line("early"), {})
        history.start(lambda _: None)
        await written(history)
        assert await ids(history) == ["early"]
        history.close()

    run(test())


def test_the_history_goes_on_after_a_restart_and_sequences_never_repeat(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_history(tmp_path / "h") as history:
            await add(history, [alarm_line("a")])
            history.add_incident(Incident(NOW, "stop", "", "x"))
            before = history.sequence
        async with running_history(tmp_path / "h") as history:
            assert await ids(history) == ["a"]
            assert history.sequence == before
            await add(history, [alarm_line("b")])
            assert history.sequence == before + 1

    run(test())


@pytest.mark.parametrize(
    "content", [b"no database" * 1000, b"", None], ids=["noise", "empty", "other"]
)
def test_a_file_that_is_no_history_is_kept_as_bad_and_a_new_one_is_begun(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "h"
    if content is None:
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE mine (x)")
        other.close()
    else:
        path.write_bytes(content)

    async def test() -> None:
        async with running_history(path) as history:
            await add(history, [alarm_line("a")])
            assert await ids(history) == ["a"]

    run(test())
    assert (tmp_path / "h.bad").exists() == (content != b"")


def test_a_file_that_is_damaged_while_it_is_in_use_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "h"

    async def test() -> None:
        async with running_history(path, HistoryLimits()) as history:
            await add(history, [alarm_line(f"a{i}") for i in range(500)])
            await history.read(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
            with path.open("r+b") as file:
                file.seek(4096)
                file.write(b"\xff" * (path.stat().st_size - 4096))
            with pytest.raises(HistoryError, match="malformed"):
                await history.read(_all)
            await add(history, [alarm_line("b")])
            assert await ids(history) == ["b"]

    run(test())
    assert (tmp_path / "h.bad").exists()


def _all(history: Connection) -> AlarmPage:
    history.execute("PRAGMA shrink_memory")  # nothing is read from the cache
    return all_alarms(history)


def test_a_file_that_cannot_be_opened_costs_history_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "h").mkdir()

    async def test() -> None:
        async with running_history(tmp_path / "h") as history:
            history.add_lines(alarm_line("a") + alarm_line("b"), {})
            with pytest.raises(HistoryError, match="unable to open"):
                await written(history)
            assert history.skipped == 2
            assert "unable to open" in history.trouble

    run(test())


# Bounds.


def test_alarms_beyond_the_bound_go_the_oldest_first(tmp_path: Path) -> None:
    async def test() -> None:
        bounds = HistoryLimits(alarms=50, changes=80)
        async with running_history(tmp_path / "h", bounds) as history:
            history.prune_seconds = 0.0
            for start in range(0, 300, 100):
                await add(history, [alarm_line(f"a{i}") for i in range(start, start + 100)])
            assert await ids(history) == [f"a{i}" for i in range(299, 249, -1)]
            assert await history.read(lambda db: count(db, "change")) == 80
            assert await history.read(lambda db: count(db, "record")) == 50

    run(test())


def count(history: Connection, table: str) -> int:
    return int(history.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_the_file_stays_within_its_bytes(tmp_path: Path) -> None:
    async def test() -> None:
        bounds = HistoryLimits(file_bytes=2 << 20)
        async with running_history(tmp_path / "h", bounds) as history:
            history.prune_seconds = 0.0
            for start in range(0, 4000, 200):
                await add(
                    history,
                    [alarm_line(f"a{i}", title=f"{i} " * 200) for i in range(start, start + 200)],
                )
            assert (await ids(history))[0] == "a3999"
            assert await history.read(bytes_used) < 1.25 * bounds.file_bytes
            assert (tmp_path / "h").stat().st_size < 1.5 * bounds.file_bytes

    run(test())


def test_what_is_older_than_the_time_is_removed(tmp_path: Path) -> None:
    clock = Clock()

    async def test() -> None:
        async with running_history(tmp_path / "h", None, clock) as history:
            history.prune_seconds = 0.0
            await add(history, [alarm_line("old"), alarm_line("changed")])
            history.add_incident(Incident(NOW, "start", "", "x"))
            history.add_samples([Sample(at=NOW, process="", seconds=60.0)])
            await written(history)
            clock.now += 86_400
            await add(history, [alarm_line("changed")])
            clock.now += 10
            await add(history, [alarm_line("new")])
            assert await ids(history) == ["new", "changed"]
            assert history.since == NOW + 86_400
            found = await history.read(lambda db: flow_history(db, "", (NOW - 100, NOW + 100), 3))
            assert (found.incidents, set(found.series["events"])) == ([], {None})

    run(test())


@pytest.mark.parametrize(
    ("table", "limit"), [("incident", "incidents"), ("sample", "samples"), ("fired", "fired")]
)
def test_each_table_has_a_bound(tmp_path: Path, table: str, limit: str) -> None:
    async def test() -> None:
        bounds = replace(HistoryLimits(), **{limit: 20})
        async with running_history(tmp_path / "h", bounds) as history:
            history.prune_seconds = 0.0
            for i in range(100):
                history.add_incident(Incident(NOW + i, "restart", "router", str(i)))
                history.add_samples([Sample(at=NOW + 60 * i, process="", seconds=60.0)])
            lines = [alarm_line(f"a{i}", created_time=NOW + i * 300) for i in range(100)]
            await add(history, lines, {f"a{i}": about(i + 1) for i in range(100)})
            assert await history.read(lambda db: count(db, table)) == 20

    run(test())


def test_of_a_flood_the_last_lines_are_kept_and_the_others_counted(tmp_path: Path) -> None:
    async def test() -> None:
        history = History(tmp_path / "h")
        for i in range(MAX_LINES + 500):
            history.add_lines(alarm_line(f"a{i}"), {})
        history.start(lambda _: None)
        await written(history)
        assert history.skipped == 500
        page = await history.read(all_alarms)
        assert page.alarms[0].id == f"a{MAX_LINES + 499}"
        assert page.total == MAX_LINES
        history.close()

    run(test())


def test_lines_that_wait_take_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_rows, "MAX_PENDING_BYTES", 10_000)
    history = History(tmp_path / "h")
    line = alarm_line("a")
    for _ in range(100):
        history.add_lines(line, {})
    assert history.skipped == 100 - 10_000 // len(line)


def test_reads_beyond_the_bound_are_refused(tmp_path: Path) -> None:
    async def test() -> None:
        history, release = History(tmp_path / "h"), threading.Event()
        history.start(lambda _: None)
        blocked = asyncio.create_task(history.read(lambda _: release.wait()))
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(history.read(lambda _: 1)) for _ in range(2 * MAX_JOBS)]
        await asyncio.sleep(0)
        release.set()
        results = await asyncio.gather(blocked, *waiting, return_exceptions=True)
        refused = [result for result in results if isinstance(result, HistoryError)]
        assert 0 < len(refused) <= MAX_JOBS + 1
        assert str(refused[0]) == "too many requests at one time"
        history.close()

    run(test())


def test_a_read_that_takes_too_long_is_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shards.history.history.READ_SECONDS", 0.0)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"

    async def test() -> None:
        async with running_history(tmp_path / "h") as history:
            with pytest.raises(HistoryError, match="interrupted"):
                await history.read(lambda db: db.execute(endless).fetchall())
            assert history.trouble == ""

    run(test())


def test_lines_that_are_no_alarms_are_left_out(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_history(tmp_path / "h") as history:
            await add(history, [b"{}\n", b"\xff\n", alarm_line("a"), b"[" * 100 + b"\n"])
            assert await ids(history) == ["a"]

    run(test())


def test_the_directive_of_lines_that_came_ahead_of_their_report_is_added(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_history(tmp_path / "h") as history:
            await add(history, [alarm_line("a")])
            assert (await history.read(all_alarms)).alarms[0].directive is None
            await add(history, [], {"a": about(7, _10_0_0_1="web"), "unknown": about(8)})
            [alarm] = (await history.read(all_alarms)).alarms
            assert (alarm.directive, alarm.src[0].name) == (7, "web")

    run(test())
