"""Whatever a file holds, it is either a valid file of tests, or its faults are found."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from shards.config.problem import ProblemList
from shards.directive_tests import test_events
from shards.directive_tests.file_faults import find_faults
from shards.directive_tests.loader import load_file
from shards.directive_tests.test_file import (
    DirectiveTest,
    DirectiveTestFile,
    EventStep,
    Expectation,
)

KEYS = [
    *(
        field.encode_name
        for type_ in (DirectiveTest, EventStep, Expectation)
        for field in fields(type_)
    ),
    *("defaults", "tests", "assets", "x"),
]
SCALARS = st.one_of(
    st.none(),
    st.integers(-2, 12),
    st.sampled_from(["", "5m", "1d", "9999d", "{n}", "time", "listed", "allowed", "open", "a"]),
    st.integers(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


def mapping(type_: Any, **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mappings with some of the keys of a type, most of them with values that may be right."""
    names = [field.encode_name for field in fields(type_)]
    others = {name: SCALARS for name in names if name not in given}
    whole = st.fixed_dictionaries(given, optional=others)
    return st.one_of(whole, whole, whole, VALUES)


STEPS = st.lists(mapping(EventStep), min_size=1, max_size=3)
EXPECTED = st.lists(mapping(Expectation, directive=st.integers(0, 3)), max_size=2)
TESTS = mapping(
    DirectiveTest,
    name=st.just("a"),
    events=STEPS,
    expect=EXPECTED,
    never=st.lists(SCALARS, max_size=2),
)
DOCUMENTS = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {"tests": st.lists(TESTS, min_size=1, max_size=2)},
        optional={"defaults": mapping(EventStep)},
    ),
)


@given(DOCUMENTS)
def test_a_document_without_faults_is_a_file_of_tests(document: Any) -> None:
    faults = list(find_faults(document))
    assert all(fault.message for fault in faults)
    if not faults:
        msgspec.convert(document, DirectiveTestFile)


@given(DOCUMENTS)
def test_a_file_without_problems_has_tests_whose_events_can_be_made(document: Any) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "a_test.yaml")
        path.write_text(yaml.safe_dump(document))
        problems = ProblemList()
        loaded = load_file(path, problems)
    assert bool(loaded.tests) != bool(problems.faults)
    for test in loaded.tests:
        if not any(step.file for step in test.test.events):
            assert next(iter(test_events.TestEvents(test, 60))).raw
