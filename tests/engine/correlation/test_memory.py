"""What a shard remembers: for how long, how much, and in which order it forgets."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.correlation import memory as memory_module
from engine.correlation.memory import Memory, RecentKeys
from engine.event import NormalizedEvent
from tests.support.directives import event

WINDOW = 600
PATIENCE = WINDOW + WINDOW // 60 + 1
"""Seconds after which the oldest key is forgotten."""
LIMIT = 100


def recent(window: int = WINDOW, limit: int = LIMIT) -> RecentKeys[str]:
    return RecentKeys(window, Counter(), "repeats", limit=limit)


def filled(*stamps: tuple[str, int], window: int = WINDOW) -> RecentKeys[str]:
    """Keys put at these times, in this order; the value of each is 1."""
    keys = recent(window)
    for key, time in stamps:
        keys.put(key, (time, 1))
    return keys


def test_a_key_is_known_as_long_as_the_window_and_no_second_longer() -> None:
    keys = recent()
    keys.put("a", (1000, 7))
    assert keys.get("a", 1000) == 7
    assert keys.get("a", 1000 + WINDOW) == 7
    assert keys.get("a", 1000 + WINDOW + 1) is None
    assert keys.get("b", 1000) is None


def test_to_ask_for_a_key_does_not_prolong_its_time() -> None:
    keys = filled(("a", 1000))
    assert keys.get("a", 1500) == 1
    assert keys.get("a", 1000 + WINDOW + 1) is None


def test_a_key_that_is_put_again_is_the_last_one_with_its_new_time_and_value() -> None:
    keys = filled(("a", 1000), ("b", 1001))
    keys.put("a", (1002, 9))
    assert list(keys.stamps) == ["b", "a"]
    assert keys.get("a", 1002 + WINDOW) == 9
    keys.prune(1002 + WINDOW)
    assert list(keys.stamps) == ["a"]


def test_with_a_window_of_0_nothing_is_remembered() -> None:
    keys = RecentKeys[str](0, Counter(), "repeats")
    keys.put("a", (1000, 1))
    keys.restore([("b", 1000, 1)])
    assert keys.get("a", 1000) is keys.get("b", 1000) is None
    assert len(keys) == 0
    assert keys.puts == 0
    assert keys.prune_at >= sys.maxsize


def test_the_limit_holds_the_oldest_go_first_and_are_counted() -> None:
    capped: Counter[str] = Counter()
    keys: RecentKeys[int] = RecentKeys(WINDOW, capped, "repeats", limit=LIMIT)
    for number in range(LIMIT):
        keys.put(number, (1000, 1))
    assert len(keys) == LIMIT
    assert not capped
    for number in range(LIMIT, 10 * LIMIT):
        keys.put(number, (1000, 1))
        assert len(keys) <= LIMIT
        assert len(keys) + capped["repeats"] == number + 1
        assert keys.get(number, 1000) == 1
    assert list(keys.stamps) == list(range(10 * LIMIT - len(keys), 10 * LIMIT))
    assert len(keys) >= LIMIT * 19 // 20
    assert capped.keys() == {"repeats"}


def test_what_is_forgotten_in_time_is_not_counted() -> None:
    capped: Counter[str] = Counter()
    keys: RecentKeys[int] = RecentKeys(WINDOW, capped, "repeats", limit=LIMIT)
    for number in range(10 * LIMIT):
        keys.put(number, (number * 20, 1))
    assert not capped
    assert len(keys) <= PATIENCE // 20 + 1


def test_only_what_is_older_than_the_window_is_pruned() -> None:
    keys = filled(("a", 1000), ("b", 1001), ("c", 1001), ("d", 1002))
    keys.prune(1000 + WINDOW)
    assert list(keys.stamps) == ["a", "b", "c", "d"]
    keys.prune(1001 + WINDOW + 1)
    assert list(keys.stamps) == ["d"]


def test_it_is_pruned_when_the_oldest_key_is_a_while_older_than_the_window() -> None:
    keys = recent()
    assert keys.prune_at >= sys.maxsize
    for key, time in (("a", 1000), ("b", 1005), ("c", 1020)):
        keys.put(key, (time, 1))
        assert keys.prune_at == 1000 + PATIENCE
    keys.put("d", (1000 + PATIENCE - 1, 1))
    assert list(keys.stamps) == ["a", "b", "c", "d"]
    keys.put("e", (1000 + PATIENCE, 1))
    assert list(keys.stamps) == ["c", "d", "e"]
    assert keys.prune_at == 1020 + PATIENCE
    keys.prune(10_000)
    assert len(keys) == 0
    assert keys.prune_at >= sys.maxsize


def test_a_short_window_is_pruned_in_time_too() -> None:
    keys = filled(("a", 10), ("b", 11), window=1)
    assert keys.prune_at == 12
    keys.put("c", (12, 1))
    assert list(keys.stamps) == ["b", "c"]


def test_when_the_clock_is_set_back_what_was_put_later_counts_as_put_now() -> None:
    keys = filled(("a", 600), ("b", 1000), ("c", 1100), ("d", 1101))
    keys.follow_clock_back(1000)
    assert list(keys.stamps.values()) == [(600, 1), (1000, 1), (1000, 1), (1000, 1)]
    assert keys.get("d", 1000 + WINDOW) == 1
    assert keys.get("d", 1000 + WINDOW + 1) is None
    assert keys.prune_at == 600 + PATIENCE


def test_after_the_clock_was_set_back_to_before_all_keys_they_expire_in_time() -> None:
    keys = filled(("a", 5000), ("b", 5001))
    assert keys.prune_at == 5000 + PATIENCE
    keys.follow_clock_back(1000)
    assert keys.prune_at == 1000 + PATIENCE


def test_a_clock_that_is_not_before_the_last_key_changes_nothing() -> None:
    keys = filled(("a", 400), ("b", 1000))
    keys.follow_clock_back(1000)
    assert keys.stamps == {"a": (400, 1), "b": (1000, 1)}


def test_the_last_put_are_given_in_order_with_their_stamps() -> None:
    keys = filled(("a", 1000), ("b", 1000), ("c", 1001))
    keys.put("a", (1002, 2))
    assert keys.puts == 4
    assert keys.last_put(0) == []
    assert keys.last_put(2) == [("c", (1001, 1)), ("a", (1002, 2))]
    everything = [("b", (1000, 1)), ("c", (1001, 1)), ("a", (1002, 2))]
    assert keys.last_put(3) == keys.last_put(99) == everything


def test_what_was_forgotten_is_not_among_the_last_put() -> None:
    keys = filled(("a", 100), ("b", 1000))
    keys.prune(1000)
    assert keys.last_put(2) == [("b", (1000, 1))]


def test_what_is_restored_goes_before_what_was_put_since_and_does_not_replace_it() -> None:
    keys = filled(("new", 1000), ("both", 1001))
    stamps = keys.stamps
    keys.restore([("later", 900, 3), ("both", 990, 3), ("earlier", 800, 3)])
    assert list(keys.stamps) == ["earlier", "later", "new", "both"]
    assert keys.get("both", 1001 + WINDOW) == 1
    assert keys.get("later", 900 + WINDOW) == 3
    assert keys.prune_at == 800 + PATIENCE
    assert keys.stamps is stamps, "others hold it"


def test_of_several_saved_entries_of_a_key_the_latest_one_counts_and_gives_its_place() -> None:
    keys = recent()
    keys.restore([("a", 100, 1), ("b", 500, 1), ("a", 900, 2)])
    assert list(keys.stamps) == ["b", "a"]
    keys.prune(500 + WINDOW + 1)
    assert keys.stamps == {"a": (900, 2)}


def test_what_is_restored_does_not_count_as_put() -> None:
    keys = filled(("b", 1001))
    keys.restore([("a", 1000, 1)])
    assert keys.last_put(keys.puts) == [("b", (1001, 1))]


def test_of_more_than_the_limit_the_latest_are_restored() -> None:
    capped: Counter[str] = Counter()
    keys: RecentKeys[int] = RecentKeys(WINDOW, capped, "repeats", limit=LIMIT)
    keys.put(-1, (1000, 1))
    keys.restore((number, number, 1) for number in range(2 * LIMIT))
    kept = LIMIT * 19 // 20
    assert list(keys.stamps) == [*range(2 * LIMIT - kept + 1, 2 * LIMIT), -1]
    assert capped == {"repeats": 2 * LIMIT + 1 - kept}


def test_to_restore_nothing_changes_nothing() -> None:
    keys = recent()
    keys.restore([])
    assert keys.prune_at >= sys.maxsize
    keys.put("a", (1000, 1))
    keys.restore([])
    assert keys.prune_at == 1000 + PATIENCE


actions = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "prune", "tick", "back", "checkpoint"]),
        st.integers(0, 6),
        st.integers(0, 8),
    )
)


@given(st.integers(0, 12), actions)
def test_it_knows_what_a_list_of_all_that_was_put_knows(
    window: int, actions: list[tuple[str, int, int]]
) -> None:
    """Whatever is done, and if all goes on with a restored copy.

    What was older than the window once may be forgotten, even if the clock is set back then.
    """
    keys: RecentKeys[int] = RecentKeys(window, Counter(), "repeats")
    put: dict[int, tuple[int, int]] = {}
    old: set[int] = set()
    now = 1000
    for number, (action, key, seconds) in enumerate(actions):
        if action == "back":
            now -= seconds
            keys.follow_clock_back(now)
            put = {known: (min(time, now), value) for known, (time, value) in put.items()}
        else:
            now += seconds
        if action == "put":
            keys.put(key, (now, number))
            put[key] = (now, number)
            old.discard(key)
        elif action == "prune" or (action == "tick" and keys.prune_at <= now):
            keys.prune(now)
        elif action == "checkpoint":
            entries = [(key, *stamp) for key, stamp in keys.stamps.items()]
            keys = RecentKeys(window, Counter(), "repeats")
            keys.restore(reversed(entries))
        inside = {key for key, (time, _) in put.items() if window and now - time <= window}
        old |= put.keys() - inside
        for known, (_, value) in put.items():
            expected = {value} if known in inside else {None}
            assert keys.get(known, now) in expected | ({None} if known in old else set())
        times = [time for time, _ in keys.stamps.values()]
        assert times == sorted(times), "the oldest ones first"
        if action == "tick":
            assert all(now - time < window + window // 60 + 1 for time in times)


# The memory of a shard.


def remember(memory: Memory, *events: NormalizedEvent, now: int = 1000) -> list[bool]:
    """Of each event: whether its id was reused."""
    return [memory.remember(one, one.identity, (now, 7)) for one in events]


def test_an_id_is_reused_if_the_last_event_with_it_was_another_one() -> None:
    memory = Memory(WINDOW, Counter())
    first, other = event(1, "a", time=1), event(1, "a", time=2)
    assert remember(memory, first, first, event(1, "b"), other, other, first) == [
        *(False, False, False),
        *(True, False, True),
    ]


def test_what_was_remembered_is_known_as_taken() -> None:
    memory = Memory(WINDOW, Counter())
    memory.remember(event(1, "a"), 5, (1000, 7))
    assert memory.taken.get(5, 1000 + WINDOW) == 7


def test_a_reused_id_is_told_of_once() -> None:
    memory = Memory(WINDOW, Counter())
    assert memory.take_reused() is None
    events = [event(1, "a", time=number) for number in range(3)]
    remember(memory, *events)
    assert memory.take_reused() is events[-1]
    assert memory.take_reused() is None
    remember(memory, events[-1])
    assert memory.take_reused() is None


def test_ids_are_known_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "MAX_IDS", 10)
    memory = Memory(WINDOW, Counter())
    last = [event(1, f"{number}", time=1) for number in range(10)]
    remember(memory, *last)
    assert remember(memory, event(1, "new")) == [False]
    assert remember(memory, event(1, "0", time=2)) == [False], "all were forgotten"
    assert remember(memory, event(1, "new", time=2)) == [True]
    for number in range(100):
        remember(memory, event(1, f"more {number}"))
        assert len(memory._identities) <= 10


def test_saved_ids_are_those_of_their_directive_for_the_window() -> None:
    memory = Memory(WINDOW, Counter())
    memory.remember_saved(7, ("a", "b"), 1000)
    for id_ in ("a", "b"):
        assert memory.is_saved(7, id_, 1000 + WINDOW)
        assert not memory.is_saved(7, id_, 1000 + WINDOW + 1)
    assert not memory.is_saved(8, "a", 1000)
    assert not memory.is_saved(7, "c", 1000)
    assert not memory.is_due(1000 + PATIENCE - 1)
    assert memory.is_due(1000 + PATIENCE)
    memory.prune(1000 + PATIENCE)
    assert not memory.saved_ids.stamps
    assert not memory.is_due(10_000)


def test_each_part_of_the_memory_has_a_limit_of_its_own_and_is_counted() -> None:
    capped: Counter[str] = Counter()
    memory = Memory(WINDOW, capped, limit=LIMIT)
    for number in range(LIMIT + 1):
        memory.written.put(f"{number}", (1000, 1))
    assert capped.keys() == {"alarms"}
    memory.remember_saved(7, map(str, range(LIMIT + 1)), 1000)
    saved = capped["repeats"]
    assert saved
    for number in range(LIMIT + 1):
        memory.taken.put(number, (1000, 7))
    assert capped["repeats"] > saved
    assert {len(memory.written), len(memory.saved_ids), len(memory.taken)} == {LIMIT * 19 // 20}


def test_a_line_is_outdated_if_one_with_more_finished_stages_was_written() -> None:
    memory = Memory(WINDOW, Counter())
    assert not memory.is_outdated("x", 1, 1000)
    memory.written.put("x", (1000, 2))
    assert [memory.is_outdated("x", finished, 1000) for finished in (1, 2, 3)] == [
        *(True, False, False)
    ]
    assert not memory.is_outdated("y", 1, 1000)
    assert memory.is_outdated("x", 1, 1000 + WINDOW)
    assert not memory.is_outdated("x", 1, 1000 + WINDOW + 1)


def test_all_parts_follow_the_clock_back_and_are_pruned() -> None:
    memory = Memory(WINDOW, Counter())
    memory.taken.put(1, (5000, 7))
    memory.written.put("x", (5000, 2))
    memory.remember_saved(7, "a", 5000)
    memory.follow_clock_back(1000)
    assert not memory.is_due(1000 + PATIENCE - 1)
    assert memory.is_due(1000 + PATIENCE)
    memory.prune(1000 + PATIENCE)
    assert [len(keys) for keys in (memory.taken, memory.written, memory.saved_ids)] == [0, 0, 0]
