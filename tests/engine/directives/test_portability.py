"""What a directive uses that other Dsiem backends do not have."""

from typing import Any

import pytest
from msgspec.structs import replace

from engine.directives.portability import is_portable, own_features
from engine.directives.suppress import Suppress
from tests.support.directives import directive, rule


def features(**changes: Any) -> list[tuple[int | None, str, str]]:
    """The stage, field and message of each feature of a directive with this second rule."""
    found = own_features(directive(rule(1), rule(2, **changes)))
    return [(feature.stage, feature.field, feature.message) for feature in found]


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"from_": ":1.to"}, "from", "is :1.to: a reference that names a field"),
        ({"from_": ":1.from"}, "from", "is :1.from: a reference that names a field"),
        ({"port_to": "!:1"}, "port_to", "is !:1: a reference with !"),
        ({"custom_data1": "!:1.from"}, "custom_data1", "is !:1.from: a reference with !"),
        ({"protocol": ":1.custom_data1"}, "protocol", "is :1.custom_data1: a reference that"),
        ({"sticky_different": "SRC_IP,DST_PORT"}, "sticky_different", "is a list"),
    ],
)
def test_each_use_is_named_with_its_place(
    changes: dict[str, str], field: str, message: str
) -> None:
    [(stage, found, text)] = features(**changes)
    assert (stage, found) == (2, field)
    assert text.startswith(message)
    assert not is_portable(directive(rule(1), rule(2, **changes)))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"wildcards": True}, "wildcards"),
        ({"suppress": Suppress(60, ("src_ip",))}, "suppress"),
        ({"rules": (rule(1),)}, "rules"),
    ],
)
def test_what_the_directive_itself_uses(changes: dict[str, Any], field: str) -> None:
    one = replace(directive(rule(1), rule(2)), **changes)
    assert [(found.stage, found.field) for found in own_features(one)] == [(None, field)]


@pytest.mark.parametrize(
    "changes",
    [
        {"from_": ":1", "to": ":1", "custom_data3": ":1"},
        {"sticky_different": "SRC_IP", "custom_data1": "a*"},
    ],
)
def test_what_other_backends_have_is_portable(changes: dict[str, str]) -> None:
    assert features(**changes) == []
    assert is_portable(directive(rule(1), rule(2, **changes)))


def test_all_uses_are_found() -> None:
    assert len(features(from_=":1.to", to="!:1", sticky_different="SRC_IP,DST_PORT")) == 3
