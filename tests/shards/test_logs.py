"""Logging: one harmless line per record on stderr, and rate limits."""

import asyncio
import json
import logging
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import uvloop
from loguru import logger

from engine.errors import InvalidEventError
from shards import logs
from shards.settings.settings import Settings

ESCAPES = "\x1b[2J\r\n\x00\x9b\u202e\u2028"


@pytest.fixture(autouse=True)
def _logging_off_again() -> Iterator[None]:
    yield
    logger.remove()


def json_lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_is_an_object_a_line_with_utc_time_level_message_and_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure_logging("INFO", as_json=True)
    logger.bind(reason="bad_json", count=3).warning("dropped")
    out, err = capsys.readouterr()
    [record] = json_lines(err)
    time = str(record.pop("time"))
    assert out == ""
    assert record == {"level": "WARNING", "message": "dropped", "reason": "bad_json", "count": 3}
    assert time.endswith("Z")
    assert abs(datetime.fromisoformat(time) - datetime.now(UTC)) < timedelta(minutes=1)


def test_fields_do_not_hide_time_level_or_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure_logging("INFO", as_json=True)
    logger.bind(level="mine", message="mine").info("ours")
    [record] = json_lines(capsys.readouterr().err)
    assert (record["level"], record["message"]) == ("INFO", "ours")


def test_text_is_a_line_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure_logging("INFO", as_json=False)
    logger.bind(a=1, b="x y").info("hello {not a field}")
    assert capsys.readouterr().err.endswith('Z INFO     hello {not a field} a=1 b="x y"\n')


@pytest.mark.parametrize("as_json", [False, True])
def test_a_record_cannot_command_a_terminal(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure_logging("INFO", as_json=as_json)
    logger.bind(field=ESCAPES).info("m" + ESCAPES)
    [line] = capsys.readouterr().err.splitlines()
    assert line.isprintable()


@pytest.mark.parametrize("as_json", [False, True])
def test_an_exception_is_shown_with_its_traceback(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure_logging("INFO", as_json=as_json)
    try:
        raise ValueError("why\x1b")
    except ValueError:
        logger.exception("failed")
    err = capsys.readouterr().err
    shown = str(json_lines(err)[0]["exception"]) if as_json else err
    assert "Traceback" in shown
    assert "ValueError: why" in shown
    assert "\x1b" not in err


def test_what_a_library_reports_as_an_error_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure_logging("INFO", as_json=True)
    logging.getLogger("asyncio").error("of a callback", exc_info=RuntimeError("not foreseen"))
    assert json.loads(capsys.readouterr().err)["level"] == "ERROR"


def test_a_connection_closed_before_its_tls_handshake_is_no_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def handshake_on_a_closed_connection() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        transport, protocol = await loop.create_connection(asyncio.Protocol, host, port)
        transport.abort()
        handshake = loop.start_tls(transport, protocol, ssl.create_default_context())
        with pytest.raises((OSError, RuntimeError, TimeoutError)):
            await asyncio.wait_for(handshake, 0.2)
        server.close()

    logs.configure_logging("INFO", as_json=True)
    uvloop.run(handshake_on_a_closed_connection())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("settings", "levels"),
    [
        (Settings(), ["INFO"]),
        (Settings(debug=True), ["DEBUG", "INFO"]),
        (Settings(trace=True), ["TRACE", "DEBUG", "INFO"]),
    ],
)
def test_level(settings: Settings, levels: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure_logging(settings.log_level, as_json=settings.json)
    for level in ("TRACE", "DEBUG", "INFO"):
        logger.log(level, "message")
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == levels


def test_setting_up_twice_does_not_log_twice(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure_logging("INFO", as_json=False)
    logs.configure_logging("INFO", as_json=False)
    logger.info("once")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_at_most_so_many_pass_in_any_window() -> None:
    limit = logs.RateLimit(most=5, seconds=10)
    passed = [now for now in range(40) if limit.allow("k", now)]
    assert all(later - first >= 10 for first, later in zip(passed, passed[5:], strict=False))
    assert passed == [*range(5), *range(10, 15), *range(20, 25), *range(30, 35)]
    assert limit.suppressed["k"] == 20


def test_events_are_limited_for_each_reason_and_field_and_then_summed_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure_logging("INFO", as_json=True)
    events = logs.EventLog()
    for _ in range(8):
        events.log_invalid(InvalidEventError("bad_json", "why"), b"{\x1b", now=100.0)
    events.log_invalid(InvalidEventError("bad_type", "why", "src_ip"), b"[]", now=100.0)
    events.log_invalid(InvalidEventError("bad_json", "why"), b"{", now=110.0)
    events.log_repaired(["title", "src_port"], b"{}", now=110.0)
    shown = [
        (r["message"], r.get("reason", r.get("fields")), r.get("event", r.get("suppressed")))
        for r in json_lines(capsys.readouterr().err)
    ]
    assert shown == [
        *[("invalid event", "bad_json", "{\\x1b")] * 5,
        ("invalid event", "bad_type", "[]"),
        ("more such events", "bad_json", 3),
        ("invalid event", "bad_json", "{"),
        ("an event was repaired", "title, src_port", "{}"),
    ]


def test_the_remaining_suppressed_events_are_logged_once_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure_logging("INFO", as_json=True)
    events = logs.EventLog()
    for _ in range(7):
        events.log_invalid(InvalidEventError("bad_json", "why"), b"{", now=0.0)
    capsys.readouterr()
    events.close()
    events.close()
    assert [r["suppressed"] for r in json_lines(capsys.readouterr().err)] == [2]


def test_many_records_are_a_line_for_each_kind(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure_logging("INFO", as_json=True)
    log = logs.KindLog("WARNING", "a record")
    for number in range(5):
        log.add(("a",), {"number": number})
    log.add(("b",), {"number": 7})
    log.flush()
    log.flush()
    shown = [
        (r["level"], r["number"], r.get("more_like_it"))
        for r in json_lines(capsys.readouterr().err)
    ]
    assert shown == [("WARNING", 0, 4), ("WARNING", 7, None)]


def test_kinds_are_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure_logging("INFO", as_json=True)
    log = logs.KindLog("ERROR", "a record")
    for number in range(logs.MAX_KINDS * 20):
        log.add((number,), {"number": number})
    log.flush()
    lines = json_lines(capsys.readouterr().err)
    assert len(lines) == logs.MAX_KINDS + 1
    assert lines[-1]["more"] == logs.MAX_KINDS * 19
