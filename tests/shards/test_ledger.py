"""The ledger: its identities, its merge, and its flat form."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from shards.ledger import Deliveries, Events, Feed, Ledger, LookupCounts, add_counts

NUMBERS = st.integers(0, 1000)
COUNTERS = st.dictionaries(st.sampled_from(["a", "b", "c"]), NUMBERS).map(Counter)


def counts(kind: type[Struct]) -> st.SearchStrategy[Struct]:
    """Structs of a kind with any counts."""
    fields = {}
    for field in msgspec.structs.fields(kind):
        fields[field.name] = COUNTERS if "Counter" in str(field.type) else NUMBERS
    return st.builds(kind, **fields)


LEDGERS = st.builds(
    Ledger,
    events=counts(Events),
    feed=counts(Feed),
    deliveries=counts(Deliveries),
    outcomes=COUNTERS,
    backlogs=COUNTERS,
    rolled_back=NUMBERS,
    from_future=NUMBERS,
    late=NUMBERS,
    lookups=st.dictionaries(st.sampled_from(["intel_a", "vuln_b"]), counts(LookupCounts)),
    unreported_seconds=NUMBERS.map(float),
)


def nonzero(ledger: Ledger) -> Counter[str]:
    """The flat counts as a Counter, which adds by name."""
    return Counter(ledger.flat_counts())


@given(LEDGERS, LEDGERS)
def test_a_merge_adds_every_count(first: Ledger, second: Ledger) -> None:
    expected = nonzero(first) + nonzero(second)
    before = msgspec.json.encode(second)
    add_counts(first, second)
    assert nonzero(first) == expected
    assert msgspec.json.encode(second) == before


@given(LEDGERS)
def test_a_merged_source_is_not_shared(ledger: Ledger) -> None:
    """Counting on in the total must not change the report that it was merged from."""
    total = Ledger()
    add_counts(total, ledger)
    before = msgspec.json.encode(ledger)
    for source in total.lookups.values():
        source.asked += 1
        source.errors["timeout"] += 1
    total.events.invalid["bad_json"] += 1
    assert msgspec.json.encode(ledger) == before


def test_every_event_has_one_fate() -> None:
    events = Events(10, routed=1, unmatched=2, whitelisted=3, elsewhere=1)
    events.invalid["bad_json"] += 1
    events.dropped["queue_full"] += 1
    assert events.missing == 1
    assert not Ledger(events=events).adds_up
    events.received -= 1
    assert Ledger(events=events).adds_up


def test_every_delivery_has_one_fate() -> None:
    deliveries = Deliveries(10, consumed=2, unmatched=1, in_flight=3)
    deliveries.invalid["bad_type"] += 1
    deliveries.dropped["queue_full"] += 1
    deliveries.lost["worker_died"] += 2
    assert deliveries.missing == 0
    deliveries.consumed -= 1
    assert not Ledger(deliveries=deliveries).adds_up


def test_the_terms_that_wait_at_the_end_are_errors() -> None:
    lookups = LookupCounts(asked=5, found=2, waiting=3, breakers=Counter(open=1))
    lookups.end("stopped")
    assert lookups == LookupCounts(asked=5, found=2, errors=Counter(stopped=3))
    assert lookups.missing == 0


@pytest.mark.parametrize("name", ["taken", "opened", "sticky_seen"])
def test_outputs_are_counted_as_outcomes(name: str) -> None:
    ledger = Ledger()
    ledger.add_outputs({name: 2})
    ledger.add_outputs({name: 3})
    assert ledger.outcomes[name] == 5


def test_an_opened_backlog_is_an_outcome_and_a_backlog() -> None:
    ledger = Ledger()
    ledger.add_outputs({"opened": 1, "expired": 4})
    assert (ledger.outcomes["opened"], ledger.backlogs["opened"]) == (1, 1)
    assert (ledger.outcomes["expired"], ledger.backlogs["expired"]) == (0, 4)


def test_the_flat_form_names_the_path_and_leaves_zeros_out() -> None:
    ledger = Ledger(late=2, lookups={"intel_a": LookupCounts(errors=Counter(timeout=1))})
    ledger.feed.seconds_without = 1.23456
    assert ledger.flat_counts() == {
        "late": 2,
        "lookups_intel_a_errors_timeout": 1,
        "feed_seconds_without": 1.235,
    }
