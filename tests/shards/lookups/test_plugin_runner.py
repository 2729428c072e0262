"""The plugin runner: every outcome of a plugin as data."""

import threading

import pytest

from shards.http_client import TransportOptions
from shards.lookups.plugin_runner import LookupAnswer, LookupFailure, LookupOutcome, PluginRunner
from tests.support import lookup_plugins
from tests.support.lookup_server import IP, NESD_HITS, PAIR, WISE_HITS, LookupServer
from tests.support.lookup_service import LIMITS, intel, vuln


def runner(url: str, plugin: str) -> PluginRunner:
    source = vuln(url) if plugin == "Nesd" else intel(url, plugin)
    return PluginRunner(source, LIMITS, TransportOptions(), threading.Event())


def failure(plugin: str) -> LookupFailure:
    outcome = runner("http://127.0.0.1:1", plugin).look_up(IP)
    assert isinstance(outcome, LookupFailure)
    assert "hunter2" not in outcome.why
    return outcome


def test_the_answers_of_both_kinds_of_plugins(server: LookupServer) -> None:
    assert runner(server.url, "Wise").look_up(IP) == LookupAnswer(WISE_HITS)
    assert runner(server.url, "Wise").look_up("1.1.1.1") == LookupAnswer(())
    assert runner(server.url, "Nesd").look_up(PAIR) == LookupAnswer(NESD_HITS)


@pytest.mark.parametrize("name", lookup_plugins.BAD_CHECKS)
def test_whatever_check_does_is_a_failure_with_a_code(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup_plugins.register(monkeypatch, "intel", "BadCheck")
    check, code = lookup_plugins.BAD_CHECKS[name]
    monkeypatch.setattr(lookup_plugins.BadCheck, "check", check)
    assert failure("BadCheck").code == code


def test_an_exception_of_a_plugin_is_described_by_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookup_plugins.register(monkeypatch, "intel", "BadCheck")
    check, _ = lookup_plugins.BAD_CHECKS["a KeyError"]
    monkeypatch.setattr(lookup_plugins.BadCheck, "check", check)
    assert failure("BadCheck").why.startswith("KeyError in lookup_plugins.py:")


def test_hits_up_to_the_limits_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup_plugins.register(monkeypatch, "intel", "BadCheck")
    hits = WISE_HITS * LIMITS.answer_hits

    def look_up() -> LookupOutcome:
        monkeypatch.setattr(lookup_plugins.BadCheck, "check", lambda self, ip: hits)
        return runner("http://x", "BadCheck").look_up(IP)

    assert look_up() == LookupAnswer(hits)
    hits += WISE_HITS
    why = f"has {len(hits)} hits, may have {LIMITS.answer_hits}"
    assert look_up() == LookupFailure("bad_answer", why)


@pytest.mark.parametrize("name", ["Refusing", "nobody", "checkless"])
def test_a_plugin_that_cannot_be_created(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup_plugins.register(monkeypatch, "intel", "Refusing", "checkless")
    failing = runner("http://x", name)
    failing.create_plugin()
    for _ in range(2):
        outcome = failing.look_up(IP)
        assert isinstance(outcome, LookupFailure)
        assert outcome.code == "plugin_error"
