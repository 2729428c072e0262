"""The top command: the view of a status at several widths, and responses that are no status."""

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

import cli
from shards.commands.top import view
from shards.ledger import Deliveries, Events, Ledger, LookupCounts
from shards.ops.status_document import status_document
from tests.support.frontend import Frontend, Reply
from tests.support.nats_server import free_port
from tests.support.overviews import overview, process_status, reload_outcome, shard_status

pytestmark = pytest.mark.usefixtures("clean_process")

ALARM = {
    "title": "directive 1",
    "update_time": 1_700_000_000,
    "risk": 10,
    "risk_class": "High",
    "rules": [{"status": "finished"}, {"status": "timeout"}, {}],
}


def status(*alarms: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The status of a service with one worker, as it is decoded from JSON."""
    lines = tuple(msgspec.json.encode(alarm) for alarm in alarms)
    document = status_document(overview(latest_alarms=lines, **fields))
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    return decoded


def rendered(document: dict[str, Any], width: int = 160, alarms: int = 10) -> str:
    """The view as text."""
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(view(document, width, alarms))
    return capture.get()


@pytest.mark.parametrize("width", [80, 160])
def test_the_view_fits_the_width_of_the_terminal(width: int) -> None:
    text = rendered(status(ALARM), width)
    assert all(len(line) <= width for line in text.splitlines())
    for heading in ("Shards", "Ledger", "Latest alarms", "worker", "events/s", "queue"):
        assert heading in text
    side_by_side = any("Shards" in line and "Ledger" in line for line in text.splitlines())
    assert side_by_side == (width == 160)


def test_an_alarm_is_shown_with_time_risk_and_finished_stages() -> None:
    [line] = [line for line in rendered(status(ALARM)).splitlines() if "directive 1" in line]
    assert line.split() == ["22:13:20", "10", "High", "1/3", "directive", "1"]


def test_no_more_alarms_are_shown_than_asked_for() -> None:
    alarms = [ALARM | {"title": f"alarm {number}"} for number in range(5)]
    text = rendered(status(*alarms), alarms=2)
    assert [f"alarm {number}" in text for number in range(5)] == [False, False, False, True, True]


def test_the_ledger_shows_totals_and_the_parts_that_are_not_0() -> None:
    ledger = Ledger(Events(received=1200, routed=1000, unmatched=200))
    ledger.deliveries = Deliveries(sent=1000, consumed=999)
    ledger.deliveries.lost["worker_died"] = 1
    ledger.lookups["Wise"] = LookupCounts(asked=3, found=2, nothing=1, opened=5)
    ledger.backlogs.update(opened=7, open=2, finished=5)
    lines = [line.split() for line in rendered(status(ledger=ledger), width=80).splitlines()]
    rows = [" ".join(words) for words in lines if words]
    assert "events 1,200 1,000 routed, 200 unmatched" in rows
    assert "delivered 1,000 999 consumed, 1 lost worker died" in rows
    assert "backlogs 7 5 finished, 2 open" in rows
    assert "Wise 3 2 found, 1 nothing" in rows
    assert "DOES NOT ADD UP" not in rows


def test_a_ledger_that_does_not_add_up_is_marked() -> None:
    assert "DOES NOT ADD UP" in rendered(status(ledger=Ledger(Events(received=1))))


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, ""),
        ({"ready": False}, "starting"),
        ({"up": False, "ready": False}, "DOWN"),
        ({"restarts": 2}, "restarted 2 ×"),
        ({"up": False, "ready": False, "restarts": 2}, "DOWN restarted 2 ×"),
    ],
)
def test_the_state_of_a_worker_is_shown(fields: dict[str, Any], state: str) -> None:
    workers = [process_status("worker-0", **fields)]
    shards = [shard_status(0, queue=50, active_directives=2, backlogs=1234)]
    [row] = [
        line
        for line in rendered(status(workers=workers, shards=shards), width=100).splitlines()
        if "1,234" in line
    ]
    assert row.split("2 of 3", 1)[1].strip() == state
    assert row.split()[:4] == ["0", "0", "50", "50%"]


def test_the_fill_of_an_unbounded_queue_is_not_shown() -> None:
    shards = [shard_status(0, queue=7, queue_capacity=0)]
    assert "7      –" in rendered(status(shards=shards), width=80)


def test_the_reasons_for_not_being_ready_are_shown() -> None:
    text = rendered(status(router=process_status("router", up=False, ready=False)))
    assert "NOT READY" in text
    assert "router" in text


def test_the_generation_and_a_failed_reload_are_shown() -> None:
    failed = reload_outcome(successful=False, error="the frontend does not answer")
    text = rendered(status(config_generation=1, last_reload=failed))
    assert "config abc, generation 1\n" in text
    assert failed.trouble in text


@pytest.mark.parametrize(
    ("seconds", "shown"), [(61.9, "up 0:01:01"), (86_400 * 2 + 3600 * 5, "up 2 d 5:00:00")]
)
def test_the_uptime_is_shown_in_hours_and_days(seconds: float, shown: str) -> None:
    assert shown in rendered(status(uptime=seconds))


def test_control_characters_are_shown_as_escapes() -> None:
    text = rendered(status(ALARM | {"title": "\x1b[31m[bold]red"}))
    assert "\x1b" not in text
    assert r"\x1b[31m[bold]red" in text


def test_without_a_service_it_prints_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert cli.main(["top", "--once", "--url", f"{url}/"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"{url}/status cannot be read: Connection refused; is --ops-port on?\n"


NO_STATUS = "the response is no status of a dsiem-backend"
HOSTILE = {
    "not JSON": (Reply(body=b"<html>"), NO_STATUS),
    "another document": (Reply(body=b'{"shards": 1}'), NO_STATUS),
    "an empty document": (Reply(body=b"{}"), NO_STATUS),
    "a list": (Reply(body=b"[]"), NO_STATUS),
    "not found": (Reply(404, b""), "{url}/status is answered with status 404, must be 200"),
    "a redirect": (
        Reply(302, headers={"Location": "http://169.254.169.254/"}),
        (
            "{url}/status is redirected to http://169.254.169.254/, "
            "must be answered by the server itself"
        ),
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_response_that_is_no_status_is_an_error(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Frontend() as server:
        server.replies["/status"], reason = HOSTILE[kind]
        assert cli.main(["top", "--once", "--url", server.url]) == 1
        assert capsys.readouterr().err == reason.format(url=server.url) + "\n"
