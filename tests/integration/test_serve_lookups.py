"""Lookups of a running service: hits in the alarm file, and servers that misbehave."""

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.frontend import Reply
from tests.support.lookup_server import (
    CHUNKED,
    METADATA_SERVICE,
    NESD_HIT,
    WISE_HIT,
    LookupServer,
    dripping,
    hanging,
)
from tests.support.replaying import Json, directive, event, rule
from tests.support.serving import DEADLINE, NEVER_EXPIRE, Service, wait_until, write_config

ATTACKER, VICTIM, PORT = "203.0.113.9", "10.0.0.9", 443
INTEL_PATH, VULN_PATH = f"/ip/{ATTACKER}", f"/?ip={VICTIM}&port={PORT}"
INTEL_HIT = {"provider": "Wise", "term": ATTACKER, "result": "ip.asn: AS64500"}
VULN_HIT = {
    "provider": "Nesd",
    "term": f"{VICTIM}:{PORT}",
    "result": "High - Heartbleed (CVE-2014-0160)",
}
HUGE = b"[" + b",".join([b"0"] * 500_000) + b"]"
FAILURES = 5
"""Failures in a row that open the breaker."""


@pytest.fixture
def server() -> Iterator[LookupServer]:
    """A server with hits for ATTACKER, and for PORT of VICTIM."""
    with LookupServer() as served:
        served.replies[INTEL_PATH] = Reply(body=WISE_HIT)
        served.replies[VULN_PATH] = Reply(body=NESD_HIT)
        yield served


def configure(folder: Path, server: LookupServer, *, vuln: bool = True) -> None:
    """Write a config with one directive of three stages, and sources of both kinds."""
    later = (rule(stage, stage, reliability=8, **{"from": ":1"}) for stage in (2, 3))
    config = write_config(folder, [directive(1, rule(1, 1, reliability=8), *later)])
    intel = source("Wise", f"{server.url}/ip/${{ip}}")
    (config / "intel_a.json").write_text(json.dumps({"intel_sources": [intel]}))
    nesd = source("Nesd", f"{server.url}/?ip=${{ip}}&port=${{port}}")
    (config / "vuln_a.json").write_text(json.dumps({"vuln_sources": [nesd] if vuln else []}))


def source(plugin: str, url: str) -> Json:
    config = json.dumps({"url": url})
    return {"name": "a", "plugin": plugin, "type": "IP", "enabled": True, "config": config}


def step(stage: int, name: str = "a", src_ip: str = ATTACKER, **more: Any) -> Json:
    """The event that finishes the stage."""
    more = {"dst_ip": VICTIM, "dst_port": PORT, **more}
    return event(f"{name}{stage}", stage, stage, src_ip=src_ip, **more)


def serve(folder: Path, *options: str, **more: Any) -> Service:
    return Service(folder, *NEVER_EXPIRE, *options, workers=1, **more)


def last_of_each(service: Service) -> dict[str, Json]:
    return {alarm["alarm_id"]: alarm for alarm in service.alarms()}


def wait_for_alarm(service: Service, **fields: Any) -> Json:
    """Wait until the last line of an alarm has these fields; return it."""

    def found() -> Json:
        alarms = last_of_each(service).values()
        return next((alarm for alarm in alarms if alarm.items() >= fields.items()), {})

    return wait_until(found, f"an alarm with {fields}")


def with_hits(folder: Path, server: LookupServer, *options: str) -> Service:
    """A service with one alarm at its first stage, with hits of both sources."""
    configure(folder, server)
    service = serve(folder, *options)
    service.post([step(1)])
    wait_for_alarm(service, intel_hits=[INTEL_HIT], vulnerabilities=[VULN_HIT])
    return service


def finished(alarm: Json) -> int:
    return sum(rule.get("status") == "finished" for rule in alarm["rules"])


# Hits.


def test_an_alarm_is_written_at_once_and_again_with_its_hits(
    tmp_path: Path, server: LookupServer
) -> None:
    configure(tmp_path, server)
    service = serve(tmp_path)
    service.post([step(1)])
    alarm = wait_for_alarm(service, intel_hits=[INTEL_HIT], vulnerabilities=[VULN_HIT])
    ledger = service.stop().ledger
    lines = service.alarms()
    assert "intel_hits" not in lines[0]
    assert "vulnerabilities" not in lines[0]
    assert len(lines) in (2, 3)  # hits of the same second are written together
    assert {**lines[0], "intel_hits": [INTEL_HIT], "vulnerabilities": [VULN_HIT]} == alarm
    ledger.check()
    assert ledger["lookups_intel_a_asked"] == ledger["lookups_intel_a_found"] == 1
    assert ledger["lookups_vuln_a_asked"] == ledger["lookups_vuln_a_found"] == 1


def test_later_lines_keep_the_hits_and_cached_answers_are_used(
    tmp_path: Path, server: LookupServer
) -> None:
    service = with_hits(tmp_path, server)
    service.post([step(2), step(3)])
    done = wait_until(
        lambda: [alarm for alarm in service.alarms() if finished(alarm) == 3], "the last stage"
    )
    assert done[-1]["intel_hits"] == [INTEL_HIT]
    assert done[-1]["vulnerabilities"] == [VULN_HIT]
    ledger = service.stop().ledger
    with_new_hits = len(service.alarms()) - 3  # a line for each stage
    assert with_new_hits in (1, 2)
    assert server.times(INTEL_PATH) == server.times(VULN_PATH) == 1
    assert ledger["lookups_intel_a_cached"] == 2


def test_hits_of_a_closed_alarm_are_added_to_its_last_line(
    tmp_path: Path, server: LookupServer
) -> None:
    server.replies[INTEL_PATH] = [Reply(body=WISE_HIT, head_drip=0.02)]
    configure(tmp_path, server, vuln=False)
    service = serve(tmp_path)
    service.post([step(1)])
    server.wait_for(INTEL_PATH)
    service.post([step(2), step(3)])
    wait_until(lambda: [alarm for alarm in service.alarms() if finished(alarm) == 3], "the end")
    assert not any("intel_hits" in alarm for alarm in service.alarms())
    alarm = wait_for_alarm(service, intel_hits=[INTEL_HIT])
    assert finished(alarm) == 3
    ledger = service.stop().ledger
    assert len(service.alarms()) == 4
    assert ledger["backlogs_finished"] == 1
    assert ledger["lookups_intel_a_shared"] == 2


def test_an_alarm_whose_stages_are_in_one_batch_ends_with_all_hits(
    tmp_path: Path, server: LookupServer
) -> None:
    service = with_hits(tmp_path, server)
    service.post([step(2), step(3), *(step(stage, "b") for stage in (1, 2, 3))])
    wait_until(lambda: len(last_of_each(service)) == 2, "a second alarm")
    service.stop()
    for alarm_id in last_of_each(service):
        lines = [alarm for alarm in service.alarms() if alarm["alarm_id"] == alarm_id]
        assert [finished(line) for line in lines] == sorted(map(finished, lines))
    for alarm in last_of_each(service).values():
        assert finished(alarm) == 3
        assert alarm["intel_hits"] == [INTEL_HIT]
        assert alarm["vulnerabilities"] == [VULN_HIT]


def test_an_address_of_many_alarms_is_looked_up_once(tmp_path: Path, server: LookupServer) -> None:
    configure(tmp_path, server, vuln=False)
    service = serve(tmp_path)
    service.post([step(1, f"n{number}-") for number in range(300)])
    service.wait_for_lines(300)
    wait_until(
        lambda: sum("intel_hits" in alarm for alarm in last_of_each(service).values()) == 300,
        "hits in all",
    )
    ledger = service.stop().ledger
    assert server.times(INTEL_PATH) == 1
    assert ledger["lookups_intel_a_asked"] == 300
    assert len(service.alarms()) == 600


def test_private_addresses_are_looked_up_only_with_the_option(
    tmp_path: Path, server: LookupServer
) -> None:
    configure(tmp_path, server, vuln=False)
    for options, wanted in (((), {INTEL_PATH}), (("--intel-private-ip",), {f"/ip/{VICTIM}"})):
        server.asked.clear()
        service = serve(tmp_path, *options, "--no-reload-backlogs")
        service.post([step(1, f"p{len(options)}")])
        for path in wanted:
            server.wait_for(path)
        service.stop()
        assert {asked.path for asked in server.asked} == {INTEL_PATH, *wanted}


# Stops and crashes.


def checkpointed(service: Service) -> bytes:
    """The states of all backlogs in the crash checkpoint."""
    [path] = (service.logs / "backlogs").glob("checkpoint.sqlite")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return b"".join(state for (state,) in connection.execute("SELECT state FROM backlog"))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_hits_survive_a_restart(tmp_path: Path, server: LookupServer, how: signal.Signals) -> None:
    service = with_hits(tmp_path, server, "--checkpoint-interval", "1")
    if how == signal.SIGKILL:
        wait_until(lambda: b"CVE-2014-0160" in checkpointed(service), "the hits in the checkpoint")
    service.send_signal(how)
    service.process.wait(20)
    wait_until(lambda: not service.pids(), "the end of all processes")
    server.usual, server.replies = Reply(500), {}
    again = serve(tmp_path)
    again.post([step(2)])
    alarm = wait_until(
        lambda: [alarm for alarm in again.alarms() if finished(alarm) == 2], "the second stage"
    )[-1]
    again.stop()
    assert alarm["intel_hits"] == [INTEL_HIT]
    assert alarm["vulnerabilities"] == [VULN_HIT]


def test_lookups_of_a_worker_that_died_are_counted(tmp_path: Path, server: LookupServer) -> None:
    server.replies[INTEL_PATH] = hanging()
    configure(tmp_path, server, vuln=False)
    service = serve(tmp_path)
    service.post([step(1)])
    server.wait_for(INTEL_PATH)
    service.post([step(1, "later", "10.0.0.3")])
    service.wait_for_lines(2)  # the report of the second line counts the first lookup
    os.kill(service.workers[0], signal.SIGKILL)
    service.wait_for_log("a process has died", process="worker-0")
    ledger = service.stop().ledger
    ledger.check()
    assert ledger["lookups_intel_a_errors_worker_died"] == 1
    assert ledger["lookups_intel_a_asked"] >= 1, "again for what is correlated again"


# Faulty servers.


def test_a_server_that_hangs_does_not_hold_up_the_service(
    tmp_path: Path, server: LookupServer
) -> None:
    server.usual, server.replies = hanging(), {}
    configure(tmp_path, server)
    service = serve(tmp_path)
    addresses = [f"203.0.113.{number}" for number in range(100)]
    service.post([step(1, f"h{ip}-", ip) for ip in addresses])
    wait_until(lambda: len(service.alarms()) == 100, "a line for each alarm")
    server.wait_for(f"/ip/{addresses[0]}")
    service.post([step(2, f"h{ip}-", ip) for ip in addresses])
    wait_until(lambda: len(service.alarms()) == 200, "a line for each second stage")
    ended = service.stop()
    assert ended.code == 0
    assert ended.seconds < 3
    ended.ledger.check()
    asked = ended.ledger["lookups_intel_a_asked"]
    assert asked == 200
    known = sum(ended.ledger.by_reason("lookups_intel_a_").values()) - asked
    assert known == asked
    assert ended.ledger["lookups_intel_a_errors_stopped"] == 100
    assert ended.ledger["lookups_intel_a_shared"] == 100


QUICK = {
    "204": (Reply(204), "status_204"),
    "404": (Reply(404, b"[]"), "status_404"),
    "418": (Reply(418, b"[]"), "status_418"),
    "429": (Reply(429, b"slow down"), "status_429"),
    "500": (Reply(500, b"[]"), "status_500"),
    "400 MB": (Reply(body=bytes(400 << 20)), "too_long"),
    "a gzip bomb": (Reply(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}), "packed"),
    "a redirect": (Reply(302, headers={"Location": METADATA_SERVICE}), "redirect"),
    "not JSON": (Reply(body=b"<html>"), "bad_answer"),
    "nested": (Reply(body=b"[" * 100_000), "bad_answer"),
    "null": (Reply(body=b"[null]"), "bad_answer"),
    "a huge list": (Reply(body=HUGE), "bad_answer"),
    "no end": (Reply(body=b"4\r\n[   \r\n", headers=CHUNKED), "connection"),
}
SLOW = {
    "dripping": (dripping(), "timeout"),
    "a dripping head": (Reply(body=b"[]", head_drip=0.5), "timeout"),
    "hanging": (hanging(), "timeout"),
}


@pytest.mark.parametrize("what", [*QUICK, *SLOW])
def test_failures_are_counted_and_open_the_breaker(
    tmp_path: Path, server: LookupServer, what: str
) -> None:
    reply, code = {**QUICK, **SLOW}[what]
    server.usual, server.replies = reply, {}
    configure(tmp_path, server, vuln=False)
    service = serve(tmp_path)
    addresses = [f"203.0.113.{number}" for number in range(FAILURES + 3)]
    service.post([step(1, f"f{ip}-", ip) for ip in addresses[:FAILURES]])
    wait_until(lambda: len(service.alarms()) == FAILURES, "a line for each alarm")
    service.wait_for_log("lookups are suspended")
    service.post([step(1, f"f{ip}-", ip) for ip in addresses[FAILURES:]])
    wait_until(lambda: len(service.alarms()) == len(addresses), "a line for each alarm")
    ended = service.stop()
    assert ended.code == 0
    assert ended.seconds < 3
    ended.ledger.check()
    assert ended.ledger.by_reason("lookups_intel_a_") == {
        "asked": len(addresses),
        f"errors_{code}": FAILURES,
        "rejected_breaker": len(addresses) - FAILURES,
        "opened": 1,
    }
    assert len(server.asked) == FAILURES
    assert not any("intel_hits" in alarm for alarm in service.alarms())


# Proxy and certificates.


def test_lookups_use_the_configured_proxy(tmp_path: Path, server: LookupServer) -> None:
    with LookupServer(Reply(body=WISE_HIT)) as proxy:
        configure(tmp_path, server, vuln=False)
        service = serve(tmp_path, "--lookup-proxy", proxy.url)
        service.post([step(1)])
        wait_for_alarm(service, intel_hits=[INTEL_HIT])
        service.stop()
        assert proxy.times(f"{server.url}{INTEL_PATH}") == 1
        assert server.asked == []


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--lookup-proxy", "ftp://proxy", "should be a URL like http://proxy:3128"),
        ("--lookup-ca", "nowhere.pem", "the certificates of lookups, nowhere.pem, cannot be used"),
    ],
)
def test_unusable_transport_options_are_refused_at_the_start(
    tmp_path: Path, server: LookupServer, option: str, value: str, message: str
) -> None:
    configure(tmp_path, server)
    service = serve(tmp_path, option, value, ready=False)
    assert service.process.wait(DEADLINE) == 3
    assert message in service.text()
