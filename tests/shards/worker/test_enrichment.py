"""Enrichment: lookup results of open and closed backlogs, and which alarms it remembers."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from engine.alarm import Hit, LookupRequest, PublishedAlarm
from engine.asset import NetworkAssets
from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.directives.asset_document import parse_assets
from engine.directives.directive import parse_directives
from engine.event import decode_event
from engine.options import Options
from shards.lookups.service import LookupHits, LookupsDone
from shards.settings.settings import Settings
from shards.worker.enrichment import Enrichment
from tests.support.events import backlog_key
from tests.support.lookup_service import in_loop

NOW = 1_700_000_000
IP = "203.0.113.9"
FIRST, SECOND = Hit("p", IP, "first"), Hit("p", IP, "second")


def raw_event(stage: int) -> bytes:
    """The event that finishes a stage."""
    event = {"event_id": f"e{stage}", "timestamp": "2023-11-14T22:13:20Z", "sensor": "s"}
    event |= {"src_ip": IP, "dst_ip": "10.0.0.2"}
    return json.dumps(event | {"plugin_id": 1, "plugin_sid": stage}).encode()


KEY = backlog_key(1, decode_event(raw_event(1)))


def rule(stage: int) -> dict[str, Any]:
    texts = {"name": "r", "type": "PluginRule", "from": "ANY", "to": "ANY", "protocol": "ANY"}
    texts |= {"port_from": "ANY", "port_to": "ANY"}
    numbers = {"plugin_id": 1, "occurrence": 1, "reliability": 10, "timeout": 600}
    return texts | numbers | {"stage": stage, "plugin_sid": [stage]}


class Worker:
    """A correlator with two stages, and its enrichment without sources, as a worker has them."""

    def __init__(self) -> None:
        directive = {"id": 1, "name": "n", "kingdom": "k", "category": "c", "priority": 5}
        rules = [rule(1), rule(2)]
        document = msgspec.json.encode({"directives": [directive | {"rules": rules}]})
        parsed = [item.directive for item in parse_directives(document)]
        directives = [item for item in parsed if item is not None]
        assets, _ = parse_assets(b'{"assets":[{"name":"lan","cidr":"10.0.0.0/8","value":5}]}')
        self.correlator = Correlator(directives, NetworkAssets(assets), Options(lookups=True))
        self.enrichment = Enrichment(self.correlator, (), Settings())
        self.now = NOW

    def take(self, stage: int) -> list[PublishedAlarm]:
        """Correlate the event that finishes a stage; pass what is published to enrichment."""
        outputs = Outputs()
        self.correlator.process_event_into(decode_event(raw_event(stage)), self.now, outputs)
        self.enrichment.request_lookups(outputs.published)
        return outputs.published

    def add(self, *results: Hit) -> list[PublishedAlarm]:
        """Apply a result for each hit; what is published in the same second, and in the next."""
        for hit in results:
            self.enrichment.apply(LookupHits(KEY, "intel", (hit,)))
        published = self.advance_time()
        self.now += 1
        return published + self.advance_time()

    def advance_time(self) -> list[PublishedAlarm]:
        outputs = self.correlator.advance_time(self.now)
        self.enrichment.request_lookups(outputs.published)
        return [*outputs.published, *self.enrichment.pop_changed(self.now, 100)]

    def finish(self, requests: int) -> None:
        self.enrichment.apply(LookupsDone(KEY, requests))

    def remembers_alarms(self) -> bool:
        return bool(self.enrichment._pending)


def hits_of(publishes: Sequence[PublishedAlarm]) -> list[tuple[Hit, ...]]:
    return [publish.alarm.intel_hits for publish in publishes]


@in_loop
async def test_hits_of_an_open_backlog_are_published_and_kept_by_the_backlog() -> None:
    worker = Worker()
    [published] = worker.take(1)
    assert published.lookups == LookupRequest((IP, "10.0.0.2"), ())
    assert hits_of(worker.add(FIRST)) == [(FIRST,)]
    assert hits_of(worker.take(2))[-1] == (FIRST,)


@in_loop
async def test_known_hits_are_not_published_again() -> None:
    worker = Worker()
    worker.take(1)
    worker.add(FIRST)
    assert worker.add(FIRST) == []
    assert hits_of(worker.add(FIRST, SECOND)) == [(FIRST, SECOND)]
    worker.take(2)  # closes the backlog
    assert worker.add(FIRST) == []


@in_loop
async def test_hits_of_a_closed_backlog_go_into_the_alarm_as_published_last() -> None:
    worker = Worker()
    worker.take(1)
    last = worker.take(2)[-1].alarm
    assert worker.correlator.snapshots() == []
    assert worker.add(FIRST) == [PublishedAlarm(KEY, replace(last, intel_hits=(FIRST,)))]
    assert hits_of(worker.add(SECOND)) == [(FIRST, SECOND)]


@pytest.mark.parametrize("closed", [False, True])
def test_the_hits_of_a_second_are_published_as_one_line(closed: bool) -> None:
    """A line for each would cost the square of their number."""
    hits = tuple(Hit("p", IP, f"hit {number}") for number in range(1000))

    @in_loop
    async def run() -> None:
        worker = Worker()
        worker.take(1)
        if closed:
            worker.take(2)
        worker.add()
        published = worker.add(*hits)
        assert len(published) <= 2
        assert published[-1].alarm.intel_hits == hits

    run()


@in_loop
async def test_hits_that_came_last_are_published_at_the_end() -> None:
    worker = Worker()
    worker.take(1)
    worker.take(2)
    worker.enrichment.apply(LookupHits(KEY, "intel", (FIRST,)))
    worker.finish(requests=2)
    assert worker.remembers_alarms()
    assert hits_of(list(worker.enrichment.pop_all_changed())) == [(FIRST,)]
    assert not worker.remembers_alarms()


@in_loop
async def test_an_alarm_is_remembered_until_all_its_requests_are_done() -> None:
    worker = Worker()
    worker.take(1)
    worker.take(2)
    worker.finish(requests=1)
    assert worker.remembers_alarms()
    assert hits_of(worker.add(FIRST)) == [(FIRST,)]
    worker.finish(requests=1)
    assert not worker.remembers_alarms()


@in_loop
async def test_an_alarm_without_due_lookups_is_not_remembered() -> None:
    worker = Worker()
    [published] = worker.take(1)
    worker.finish(requests=1)
    worker.enrichment.request_lookups([replace(published, lookups=None)])
    assert not worker.remembers_alarms()


@in_loop
async def test_the_service_concludes_what_enrichment_requests() -> None:
    worker = Worker()
    worker.take(1)
    task = asyncio.create_task(worker.enrichment.run())
    worker.enrichment.apply(await asyncio.wait_for(worker.enrichment.results.get(), 5))
    task.cancel()
    assert not worker.remembers_alarms()
