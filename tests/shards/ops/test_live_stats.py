"""Counts by directive of a running service, and the signatures of its unmatched events."""

from engine.directive_counts import DirectiveCounts
from shards.ops.live_stats import LiveStats
from shards.unmatched_events import MOST_FREQUENT, Signature


def signatures(*events: int) -> list[Signature]:
    """Signatures of the plugin_sids 1, 2, …, with these numbers of events."""
    return [Signature(9, sid, "", "", count) for sid, count in enumerate(events, 1)]


def shown(stats: LiveStats, unmatched: int) -> tuple[list[tuple[int, int]], int]:
    """The plugin_sids with their numbers of events, and the number of other events."""
    found = stats.as_document(unmatched)["unmatched"]
    rows = [(row["plugin_sid"], row["events"]) for row in found["signatures"]]
    return rows, found["other_events"]


def test_counts_of_workers_add_up_and_the_furthest_stage_is_the_highest() -> None:
    stats = LiveStats()
    stats.add({7: DirectiveCounts(3, 2, 2, {"High": 1})})
    stats.add({7: DirectiveCounts(1, 1, 1, {"High": 1, "Low": 1})})
    [row] = stats.as_document(0)["directives"]
    assert (row["events"], row["opened"], row["furthest_stage"]) == (4, 3, 2)
    assert row["alarms"] == {"High": 2, "Medium": 0, "Low": 1}


def test_directives_are_sorted_by_alarms_then_events_and_by_what_they_did_not_do() -> None:
    stats = LiveStats()
    stats.use([4, 3, 2, 1], ())
    stats.add({1: DirectiveCounts(9, 9, 1), 2: DirectiveCounts(5, 1, 1, {"Low": 1})})
    stats.add({3: DirectiveCounts(10, 9, 1)})
    document = stats.as_document(0)
    assert [row["id"] for row in document["directives"]] == [2, 3, 1]
    assert document["never_matched"] == [4]
    assert document["without_alarm"] == [3, 1]


def test_a_directive_that_a_reload_removes_is_forgotten() -> None:
    stats = LiveStats()
    stats.add({7: DirectiveCounts(1)})
    stats.use([8], [7])
    document = stats.as_document(0)
    assert (document["directives"], document["never_matched"]) == ([], [8])


def test_signatures_add_up_over_the_lives_of_routers() -> None:
    stats = LiveStats()
    stats.take_signatures(signatures(5, 1))
    stats.take_signatures(signatures(6, 1))
    assert shown(stats, 8) == ([(1, 6), (2, 1)], 1)
    stats.router_ended()
    stats.router_ended()  # it died before it reported
    stats.take_signatures(signatures(1, 9))
    assert shown(stats, 18) == ([(2, 10), (1, 7)], 1)


def test_any_number_of_signatures_is_bounded_and_all_events_are_in_the_sum() -> None:
    stats = LiveStats()
    for life in range(100):
        sids = range(life * MOST_FREQUENT, (life + 1) * MOST_FREQUENT)
        stats.take_signatures([Signature(9, sid + 1, "", "", 2) for sid in sids])
        stats.router_ended()
    rows, others = shown(stats, 100 * MOST_FREQUENT * 2)
    assert len(rows) == MOST_FREQUENT
    assert sum(events for _, events in rows) + others == 100 * MOST_FREQUENT * 2
    assert len(stats._ended) == 5 * MOST_FREQUENT


def test_others_are_none_while_signatures_are_ahead_of_the_ledger() -> None:
    stats = LiveStats()
    stats.take_signatures(signatures(5))
    assert shown(stats, 4) == ([(1, 5)], 0)
