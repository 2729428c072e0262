"""A cut: backlogs are saved one after the other, as they were at one moment."""

import random
from collections import Counter

import pytest

from engine.alarm import BacklogKey, Hit
from engine.correlation.activity import Activity
from engine.correlation.correlator import Correlator
from engine.correlation.snapshot import BacklogSnapshot
from engine.options import Options
from tests.support.directives import ASSETS, directive, event, rule

START = 10_000


def correlator() -> Correlator:
    """Of a directive whose backlogs are advanced, and one whose alarms change at earlier stages."""
    usual = directive(
        rule(1), rule(2, from_=":1", occurrence=3), rule(3, from_=":1", timeout=20), id=1
    )
    active = directive(
        rule(1, from_="10.0.0.0/8"), rule(2, from_=":1", reliability=0), id=2, always_active=True
    )
    return Correlator([usual, active], ASSETS, Options(track_changes=True, repeat_window=30))


class History:
    """Random changes of a correlator, and what each of them was."""

    def __init__(self, seed: int) -> None:
        self.correlator = correlator()
        self.did: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._now = START
        self._number = 0

    def go_on(self, steps: int) -> None:
        """Do something that may change, open or close backlogs."""
        for _ in range(steps):
            choose = self._random.choices(
                (self._take, self._wait, self._enrich, self._set_clock_back), (20, 3, 3, 1)
            )
            choose[0]()

    def _take(self) -> None:
        self._number += 1
        sender = f"10.0.1.{self._random.randrange(12)}"
        reused = self._random.random() < 0.1  # opens one again after it was forgotten
        id_ = "reused" if reused else f"e{self._number}"
        taken = event(self._random.choice((1, 1, 2, 2, 2, 3)), id_, src_ip=sender, time=self._now)
        self.did += self.correlator.process_event(taken, self._now).counts

    def _wait(self) -> None:
        self._now += self._random.choice((1, 2, 15, 70))
        outputs = self.correlator.advance_time(self._now)
        self.did += outputs.counts
        self.did["line"] += len(outputs.published)

    def _enrich(self) -> None:
        if keys := list(self.correlator.open_keys()):
            hit = Hit("p", "10.0.0.1", f"r{self._random.randrange(3)}")
            self.did["enriched"] += self.correlator.enrich(
                self._random.choice(keys), "intel", [hit]
            )

    def _set_clock_back(self) -> None:
        self._now -= 5
        self.correlator.follow_clock_back(self._now, self._now)


def by_key(correlator: Correlator) -> dict[BacklogKey, BacklogSnapshot]:
    return {state.key: state for state in correlator.snapshots()}


@pytest.mark.parametrize("seed", range(100))
def test_a_cut_that_is_saved_in_slices_is_what_was_there_at_its_moment(seed: int) -> None:
    history, rng = History(seed), random.Random(-seed)
    correlator = history.correlator
    saved: list[tuple[BacklogKey, BacklogSnapshot | None]] = []

    def save(key: BacklogKey) -> None:
        saved.append((key, correlator.snapshot_of(key)))

    for _ in range(5):
        history.go_on(60)
        expected = by_key(correlator)
        saved.clear()
        correlator.activity.begin_cut(list(expected), save)
        history.go_on(rng.randrange(40))
        while (key := correlator.activity.next_of_cut()) is not None:
            save(key)
            history.go_on(rng.randrange(5))
        history.go_on(10)
        assert Counter(key for key, _ in saved) == dict.fromkeys(expected, 1)
        assert dict(saved) == expected


def test_these_histories_hold_every_kind_of_change() -> None:
    did: Counter[str] = Counter()
    for seed in range(20):
        history = History(seed)
        history.go_on(300)
        did += history.did
    kinds = {"opened", "taken", "finished", "expired", "repeated", "line", "enriched"}
    assert kinds <= did.keys()


def test_another_cut_replaces_one_that_was_not_saved() -> None:
    activity, saved = Activity(track_changes=True), list[BacklogKey]()
    activity.begin_cut([(1, "a"), (1, "b")], saved.append)
    activity.begin_cut([(1, "b"), (1, "c")], saved.append)
    for opened_by in "abb":
        activity.before_change(1, opened_by)
    assert saved == [(1, "b")]
    assert (activity.next_of_cut(), activity.next_of_cut()) == ((1, "c"), None)
