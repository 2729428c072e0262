"""A shard with a tracer: it correlates as one without, and spans are noted."""

import json

import msgspec
import pytest

from engine.directives.asset_document import parse_assets
from engine.directives.directive import parse_directives
from engine.options import Options
from shards.checkpoint.stats import CheckpointStats
from shards.lookups.plugin_runner import LookupAnswer, LookupFailure, LookupOutcome
from shards.lookups.thread_pool import LookupJob
from shards.settings.settings import Settings
from shards.tracing.sampling import route_span_id, trace_id
from shards.tracing.span import Span
from shards.worker import lookup_spans
from shards.worker.shard import Shard
from shards.worker.shard_tracer import ShardTracer
from tests.support.generations import directive_set
from tests.support.lookup_service import intel
from tests.support.replaying import START, directive, event, rule

NOW = int(START.timestamp())


def make_shard() -> Shard:
    rules = rule(1, 1, reliability=8), rule(2, 2, occurrence=2, reliability=9)
    document = msgspec.json.encode({"directives": [directive(1, *rules)]})
    directives = [item.directive for item in parse_directives(document) if item.directive]
    assets, _ = parse_assets(b'{"assets":[{"name":"lan","cidr":"10.0.0.0/8","value":5}]}')
    options = Options(lookups=True)
    return Shard(Settings(max_future=0), options, directive_set(directives, assets))


def traced_shard(one_in: int = 1) -> Shard:
    shard = make_shard()
    shard.tracer = ShardTracer(shard.correlator, one_in)
    return shard


def raw(name: str, plugin_sid: int) -> bytes:
    return json.dumps(event(name, 0, plugin_sid, src_ip="203.0.113.9")).encode()


EVENTS = [raw("a", 1), raw("b", 9), b"[", raw("c", 2), raw("a", 1), raw("d", 2), raw("e", 1)]


def spans_of(shard: Shard) -> list[Span]:
    assert shard.tracer is not None
    return shard.tracer.spans.take()[0]


@pytest.mark.parametrize("one_in", [*range(1, 9), 1000])
def test_lines_and_counts_are_those_of_a_shard_without_tracing(one_in: int) -> None:
    reports = []
    for shard in (make_shard(), traced_shard(one_in)):
        shard.process_batch(len(EVENTS), EVENTS, NOW)
        reports.append(shard.make_report(CheckpointStats(), details=False))
        assert shard.recent_events == EVENTS
    plain, traced = reports
    assert (traced.alarms, traced.alarm_events) == (plain.alarms, plain.alarm_events)
    assert traced.encoded_ledger == plain.encoded_ledger


def test_a_span_says_what_became_of_the_event() -> None:
    shard = traced_shard()
    shard.process_batch(len(EVENTS), EVENTS, NOW)
    spans = spans_of(shard)
    outcomes = [
        {key.removeprefix("dsiem.outcome.") for key in span.attributes if ".outcome." in key}
        for span in spans
    ]
    assert outcomes == [
        {"opened"},
        set(),
        set(),
        {"taken"},
        {"repeated"},
        {"taken", "finished"},
        {"opened"},
    ]
    assert [span.error for span in spans] == ["", "", "bad_json", *[""] * 4]
    alarm = json.loads(shard.make_report(CheckpointStats()).alarms.splitlines()[0])["alarm_id"]
    assert [span.attributes["dsiem.alarm_ids"] for span in spans][:4] == [[alarm], [], [], [alarm]]
    positions = [span.attributes["dsiem.batch.position"] for span in spans]
    assert positions == [*range(1, len(EVENTS) + 1)]
    for span, each in zip(spans, EVENTS, strict=True):
        assert span.context.trace == trace_id(each)
        assert span.parent == route_span_id(trace_id(each))


def answer(shard: Shard, cause: Span | None, outcome: LookupOutcome) -> list[Span]:
    """The spans after a source has answered for the alarm that the event of a span has opened."""
    alarms = [] if cause is None else cause.attributes["dsiem.alarm_ids"]
    assert isinstance(alarms, list)
    job = LookupJob("203.0.113.9", 0, (1, str(alarms[0]) if alarms else "unknown"))
    assert shard.tracer is not None
    shard.tracer.on_lookup(intel("http://127.0.0.1:1", name="a"), job, outcome, 0.5)
    return spans_of(shard)


def test_a_lookup_is_in_the_trace_of_the_event_that_has_caused_it() -> None:
    shard = traced_shard()
    shard.process_batch(1, EVENTS[:1], NOW)
    (cause,) = spans_of(shard)
    (lookup,) = answer(shard, cause, LookupFailure("timeout", "late"))
    assert (lookup.context.trace, lookup.parent) == cause.context
    assert lookup.error == "timeout"
    assert lookup.end - lookup.start == pytest.approx(5e8, rel=0.01)
    assert lookup.attributes["dsiem.lookup.source"] == "a"


def test_a_lookup_of_an_event_without_a_trace_is_sampled_alone() -> None:
    (alone,) = answer(traced_shard(), None, LookupAnswer(()))
    assert alone.parent == b""
    assert alone.attributes["dsiem.lookup.hits"] == 0
    assert answer(traced_shard(2**63), None, LookupAnswer(())) == []


def test_only_the_latest_causes_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_spans, "MAX_CAUSES", 2)
    shard = traced_shard()
    opening = [raw(name, 1) for name in "abc"]
    shard.process_batch(3, opening, NOW)
    causes = spans_of(shard)
    parents = [answer(shard, cause, LookupAnswer(()))[0].parent for cause in causes]
    assert [bool(parent) for parent in parents] == [False, True, True]
