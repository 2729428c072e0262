"""Directives of a document: valid, faulty, disabled, and repaired ones."""

import json
from typing import Any

import pytest

from engine.directives.directive import ParsedDirective, check_directive, parse_directives
from engine.errors import has_faults


def rule(stage: int, **more: Any) -> dict[str, Any]:
    return {
        "name": "r",
        "type": "PluginRule",
        "stage": stage,
        "occurrence": 1,
        "plugin_id": 1,
        "plugin_sid": [1],
        "from": "ANY",
        "to": "ANY",
        "reliability": 1,
        "timeout": 10,
    } | more


def directive(**more: Any) -> dict[str, Any]:
    fields = {"id": 1, "name": "d", "kingdom": "k", "category": "c", "priority": 3}
    return fields | {"rules": [rule(1), rule(2)]} | more


def parse(*items: Any, lenient: bool = False) -> list[ParsedDirective]:
    document = json.dumps({"directives": list(items)}).encode()
    return list(parse_directives(document, lenient=lenient))


def test_a_directive_is_checked_like_a_document() -> None:
    several = {"sticky_different": ["SRC_IP", "DST_PORT"], "occurrence": 2, "from": "!:1.to"}
    [parsed] = parse(directive(wildcards=True, rules=[rule(1), rule(2, **several)]))
    assert parsed.directive is not None
    assert parsed.directive.rules[1].sticky_different == "SRC_IP,DST_PORT"
    assert parsed.directive.wildcards
    assert check_directive(parsed.directive) == (parsed.directive, [])


def test_rules_are_in_the_order_of_their_stages() -> None:
    [parsed] = parse(directive(rules=[rule(2, name="second"), rule(1, name="first")]))
    assert parsed.directive is not None
    assert [one.name for one in parsed.directive.rules] == ["first", "second"]


def test_a_disabled_directive_is_not_checked() -> None:
    [parsed] = parse(directive(disabled=True, rules=[]))
    assert (parsed.directive, parsed.disabled, has_faults(parsed.findings)) == (None, True, False)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"priority": 6}, "out-of-range"),
        ({"name": ""}, "empty"),
        ({"rules": []}, "too-few-rules"),
        ({"rules": [rule(1), rule(3)]}, "bad-stage"),
        ({"rules": [rule(1), rule(2, plugin_sid=[])]}, "empty"),
        ({"rules": [rule(1), rule(2, to="nowhere")]}, "bad-condition"),
        ({"rules": [rule(1), rule(2, **{"from": ":2"})]}, "bad-reference"),
    ],
)
def test_a_faulty_directive_has_its_id_and_a_finding(more: dict[str, Any], code: str) -> None:
    [parsed] = parse(directive(**more))
    assert (parsed.directive, parsed.id) == (None, 1)
    assert [(finding.code, finding.directive) for finding in parsed.findings] == [(code, 1)]


def test_a_directive_whose_digest_is_known_is_not_parsed() -> None:
    first, second, third = directive(id=1), directive(id=2), directive(id=3)
    digest = parse(second)[0].digest
    document = json.dumps({"directives": [first, second, third]}).encode()
    parsed = list(parse_directives(document, known={digest: 2}))
    assert [one.is_known for one in parsed] == [False, True, False]
    assert [one.directive is None for one in parsed] == [False, True, False]
    assert [one.id for one in parsed] == [1, 2, 3]
    assert parsed[1].path == ("directives", 1)
    assert all(one.valid and not one.findings for one in parsed)


def test_equal_texts_have_equal_digests_and_others_do_not() -> None:
    one, same, other = parse(directive(), directive(), directive(name="e"))
    assert one.digest == same.digest != other.digest
    assert len(one.digest) == 16


def test_one_faulty_directive_does_not_hide_the_others() -> None:
    parsed = parse(directive(id=1), directive(id=2, priority=0), directive(id=3), 7)
    assert [one.directive is not None for one in parsed] == [True, False, True, False]


def test_lenient_repairs_what_dsiem_repairs_with_a_warning() -> None:
    broken = directive(priority=9, rules=[rule(1, occurrence=5, reliability=12), rule(2)])
    [parsed] = parse(broken, lenient=True)
    assert parsed.directive is not None
    first = parsed.directive.rules[0]
    assert (parsed.directive.priority, first.occurrence, first.reliability) == (1, 1, 10)
    assert all(finding.warning for finding in parsed.findings)
    assert len(parsed.findings) == 3


def test_lenient_leaves_out_what_cannot_be_repaired() -> None:
    [parsed] = parse(directive(name=""), lenient=True)
    assert parsed.directive is None
    assert not has_faults(parsed.findings)
