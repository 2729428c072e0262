"""What became of a reload, as a document, a warning and lines of the log."""

import json
from collections.abc import Iterator

import msgspec
import pytest
from loguru import logger

from shards.config.generation import ConfigChanges
from shards.ops.reload_outcome import MAX_IDS, RELOAD_RESULTS, ReloadOutcome
from tests.support.overviews import FAULT, LINT, reload_outcome
from tests.support.pages import read_page

Logged = list[tuple[str, str, dict[str, object]]]


@pytest.fixture
def logged() -> Iterator[Logged]:
    """Level, message and bound values of each line."""
    lines: Logged = []

    def keep(message: object) -> None:
        record = message.record  # type: ignore[attr-defined]
        lines.append((record["level"].name, record["message"], record["extra"]))

    handler = logger.add(keep, level="INFO")
    yield lines
    logger.remove(handler)


def failed(*problems: dict[str, object], error: str = "", unlisted: str = "") -> ReloadOutcome:
    return reload_outcome(successful=False, problems=list(problems), error=error, unlisted=unlisted)


CHANGED = reload_outcome(
    generation=2,
    changes=ConfigChanges(added=[5], changed=[1, 2], removed=[3], unchanged=7, assets=True),
)


def test_the_keys_of_the_document_are_those_that_programs_rely_on() -> None:
    assert json.loads(msgspec.json.encode(CHANGED.document())) == {
        "result": "changed",
        "generation": 2,
        "trigger": "SIGHUP",
        "time": 1_700_000_030.5,
        "milliseconds": 41,
        "directives": {
            "added": {"count": 1, "ids": [5]},
            "changed": {"count": 2, "ids": [1, 2]},
            "removed": {"count": 1, "ids": [3]},
            "unchanged": 7,
        },
        "assets_changed": True,
        "lookups_changed": False,
        "error": "",
        "problems": [],
        "unlisted": "",
    }
    assert list(failed(FAULT).document()) == list(CHANGED.document())


def test_the_documented_answer_has_these_keys() -> None:
    section = read_page("operate.md").partition("### The answer")[2]
    answer = json.loads(section.partition("```json\n")[2].partition("```")[0])
    document = CHANGED.document()
    assert list(answer) == list(document)
    assert list(answer["directives"]) == list(document["directives"])


def test_a_document_has_the_first_thousand_ids_and_the_full_counts() -> None:
    ids = list(range(1, MAX_IDS + 2))
    changes = ConfigChanges(added=ids, changed=ids[:-1], removed=ids)
    directives = reload_outcome(changes=changes).document()["directives"]
    for kind, count in (("added", MAX_IDS + 1), ("changed", MAX_IDS), ("removed", MAX_IDS + 1)):
        assert directives[kind] == {"count": count, "ids": ids[:MAX_IDS]}


def test_the_result_is_changed_if_anything_is() -> None:
    changes = (
        ConfigChanges(added=[1]),
        ConfigChanges(changed=[1]),
        ConfigChanges(removed=[1]),
        ConfigChanges(assets=True),
        ConfigChanges(lookups=True),
        ConfigChanges(unchanged=5),
    )
    results = [reload_outcome(changes=change).result for change in changes]
    assert results == ["changed"] * 5 + ["unchanged"]
    assert failed(FAULT).result == "failed"
    assert set(RELOAD_RESULTS) == {*results, "failed"}


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (failed(FAULT, LINT), "the configuration has 1 fault"),
        (failed(FAULT, FAULT), "the configuration has 2 faults"),
        (failed(FAULT, FAULT, unlisted="7 more"), "the configuration has 2 faults or more"),
        (failed(error="configs: no such folder"), "configs: no such folder"),
    ],
)
def test_the_trouble_of_a_failed_reload_says_why_and_what_goes_on(
    outcome: ReloadOutcome, reason: str
) -> None:
    assert outcome.document()["error"] == reason
    assert outcome.trouble == f"the last reload (SIGHUP) has failed, generation 1 goes on: {reason}"


def test_a_success_is_no_trouble_whatever_the_warnings() -> None:
    outcome = reload_outcome(problems=[LINT])
    assert (outcome.trouble, outcome.reason) == ("", "")


def test_a_change_is_logged_with_its_counts(logged: Logged) -> None:
    CHANGED.log()
    assert logged == [
        (
            "INFO",
            "configuration reloaded",
            {
                "trigger": "SIGHUP",
                "milliseconds": 41,
                "generation": 2,
                "added": 1,
                "changed": 2,
                "removed": 1,
                "unchanged": 7,
            },
        )
    ]


def test_no_change_is_logged_as_such_after_its_warnings(logged: Logged) -> None:
    reload_outcome(problems=[LINT]).log()
    bound = {"trigger": "SIGHUP", "milliseconds": 41, "generation": 1}
    assert logged == [
        ("WARNING", LINT["text"], {}),
        ("INFO", "configuration is unchanged", bound),
    ]


def test_each_problem_is_logged_before_the_line_that_says_what_goes_on(logged: Logged) -> None:
    failed(FAULT, LINT, unlisted="5 more problems").log()
    assert [line[:2] for line in logged] == [
        ("ERROR", FAULT["text"]),
        ("WARNING", LINT["text"]),
        ("WARNING", "5 more problems"),
        ("ERROR", "the configuration is not reloaded, generation 1 goes on"),
    ]
    why = "the configuration has 1 fault or more"
    bound = {"trigger": "SIGHUP", "milliseconds": 41, "faults": 1, "why": why}
    assert logged[-1][2] == bound
