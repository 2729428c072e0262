"""The enrichment of a shard whose lookup sources change, with real servers."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from engine.directives.asset_document import parse_assets
from engine.directives.directive import parse_directives
from engine.options import Options
from shards.checkpoint.stats import CheckpointStats
from shards.ledger import LookupCounts, decode_ledger
from shards.lookups.source_config import LookupSource
from shards.settings.settings import Settings
from shards.worker.enrichment import Enrichment
from shards.worker.enrichment_tasks import EnrichmentTasks
from shards.worker.shard import Shard
from tests.support.frontend import Reply
from tests.support.generations import directive_set
from tests.support.lookup_server import LookupServer, hanging
from tests.support.lookup_service import in_loop, intel

NOW = 1_800_000_000
SLOW = 0.003
"""Seconds for each byte of the head of a reply."""


def new_shard() -> Shard:
    rule = {"name": "seen", "type": "PluginRule", "plugin_id": 1, "plugin_sid": [1], "from": "ANY"}
    rule |= {"to": "ANY", "occurrence": 1, "reliability": 10, "timeout": 60}
    directive = {"id": 1, "name": "n", "kingdom": "k", "category": "c", "priority": 5}
    rules = [rule | {"stage": 1}, rule | {"stage": 2, "from": ":1"}]
    document = msgspec.json.encode({"directives": [directive | {"rules": rules}]})
    directives = [item.directive for item in parse_directives(document) if item.directive]
    assets, _ = parse_assets(b'{"assets":[{"name":"lan","cidr":"10.0.0.0/8","value":5}]}')
    return Shard(Settings(), Options(lookups=True), directive_set(directives, assets))


class Worker:
    """A shard with its enrichment; `hits`: the results of the hits of each address's last alarm."""

    def __init__(self) -> None:
        self.shard = new_shard()
        self.tasks = EnrichmentTasks(self.shard, Settings())
        self.hits: dict[str, list[str]] = {}
        self.counts: dict[str, LookupCounts] = {}
        self._now = NOW
        self._position = 0

    def take(self, ip: str) -> None:
        """Process an event from an address: it opens a backlog, or is the end of the open one."""
        at = datetime.fromtimestamp(self._now, UTC).isoformat()
        body = {"event_id": f"e{self._position}", "timestamp": at, "sensor": "s", "plugin_id": 1}
        body |= {"plugin_sid": 1, "src_ip": ip, "dst_ip": "10.0.0.2"}
        self._position += 1
        self.shard.process_batch(self._position, [json.dumps(body).encode()], self._now)

    def report(self) -> None:
        """Let a second pass, and take a report."""
        self._now += 1
        self.shard.advance_time(self._now)
        report = self.shard.make_report(CheckpointStats())
        for line in report.alarms.splitlines():
            alarm = json.loads(line)
            hits = [hit["result"] for hit in alarm.get("intel_hits", [])]
            self.hits[alarm["src_ips"][0]] = sorted(hits)
        self.counts = decode_ledger(report.encoded_ledger).lookups
        assert not any(counts.missing for counts in self.counts.values())

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Report until a condition holds."""
        until = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < until, f"{self.hits} {self.counts}"
            await asyncio.sleep(0.002)
            self.report()


def source(server: LookupServer, name: str = "x") -> tuple[LookupSource, ...]:
    return (intel(server.url, name=name),)


def answering(text: str, head_drip: float = 0.0) -> LookupServer:
    """A server with this hit for every address."""
    body = f'[{{field: "ip.asn", len: 9, value: "{text}"}}]'.encode()
    return LookupServer(Reply(body=body, head_drip=head_drip))


def lookup_threads() -> int:
    return sum(thread.name.startswith("lookup ") for thread in threading.enumerate())


@in_loop
async def test_sources_from_none_to_some_to_others_to_none() -> None:
    worker = Worker()
    with answering("one") as first, answering("two") as second:
        async with worker.tasks.running():
            worker.tasks.use_sources(())
            worker.take("1.1.1.1")
            worker.report()
            assert worker.shard.enrichment is None
            worker.tasks.use_sources(source(first))
            worker.take("2.2.2.2")
            await worker.wait_until(lambda: worker.hits.get("2.2.2.2"))
            worker.tasks.use_sources(source(second, "y"))
            worker.take("3.3.3.3")
            await worker.wait_until(lambda: worker.hits.get("3.3.3.3"))
            worker.tasks.use_sources(())
            worker.take("4.4.4.4")
            worker.report()
            await worker.wait_until(lambda: not lookup_threads())
        expected = {
            "1.1.1.1": [],
            "2.2.2.2": ["ip.asn: one"],
            "3.3.3.3": ["ip.asn: two"],
            "4.4.4.4": [],
        }
        assert worker.hits == expected
        assert {name: counts.asked for name, counts in worker.counts.items()} == {
            "intel_x": 1,
            "intel_y": 1,
        }
        assert not any(counts.breakers for counts in worker.counts.values())


@pytest.mark.parametrize("is_closed", [False, True])
def test_hits_of_sources_that_are_gone_are_applied(is_closed: bool) -> None:
    @in_loop
    async def run() -> None:
        worker = Worker()
        with answering("slow", SLOW) as first, answering("new") as second:
            async with worker.tasks.running():
                worker.tasks.use_sources(source(first))
                worker.take("1.1.1.1")
                await worker.wait_until(lambda: first.times("/ip/1.1.1.1"))
                worker.tasks.use_sources(source(second))
                if is_closed:  # its second request goes to the second source
                    worker.take("1.1.1.1")
                    expected = ["ip.asn: new", "ip.asn: slow"]
                else:
                    expected = ["ip.asn: slow"]
                await worker.wait_until(lambda: worker.hits["1.1.1.1"] == expected)
                await worker.wait_until(lambda: lookup_threads() == 8)
                enrichment = worker.shard.enrichment
                assert enrichment is not None
                assert not enrichment._pending
            assert worker.counts["intel_x"].found == len(expected)

    run()


@in_loop
async def test_results_in_the_queue_at_the_end_are_applied() -> None:
    worker = Worker()
    with answering("one") as server:
        async with worker.tasks.running():
            worker.tasks.use_sources(source(server))
            enrichment = worker.shard.enrichment
            assert enrichment is not None
            applying = worker.tasks._tasks[1]
            applying.cancel()
            worker.take("1.1.1.1")
            await worker.wait_until(lambda: enrichment.results.qsize() == 2)
            assert worker.hits == {"1.1.1.1": []}
        worker.report()
    assert worker.hits == {"1.1.1.1": ["ip.asn: one"]}


@in_loop
async def test_the_end_waits_for_no_source_that_is_gone() -> None:
    worker = Worker()
    with LookupServer(hanging()) as server:
        async with worker.tasks.running():
            worker.tasks.use_sources(source(server))
            worker.take("1.1.1.1")
            await worker.wait_until(lambda: server.times("/ip/1.1.1.1"))
            worker.tasks.use_sources(())
        worker.report()
    assert worker.counts["intel_x"].errors == {"stopped": 1}


@in_loop
async def test_a_failure_of_a_task_ends_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(Enrichment, "apply", fail)
    worker = Worker()

    async def run() -> None:
        async with worker.tasks.running(), asyncio.timeout(20):
            worker.tasks.use_sources(())
            worker.tasks.use_sources(source(server))
            worker.take("1.1.1.1")
            await asyncio.Event().wait()

    with answering("one") as server:
        with pytest.raises(ExceptionGroup) as raised:
            await run()
        assert raised.value.subgroup(KeyError)


def test_the_libraries_of_lookups_are_not_imported_without_sources() -> None:
    program = "import sys, shards.worker.process; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    modules = ran.stdout.decode().split()
    assert "shards.worker.enrichment_tasks" in modules
    assert not {"shards.worker.enrichment", "shards.lookups.service", "requests"} & set(modules)
