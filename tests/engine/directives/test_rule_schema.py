"""Rules of a document: repairs, and checks of records. Each fault: tests/shards/commands."""

from typing import Any

from engine.directives.rule_schema import check_rules, read_rules, records_of
from tests.support.directives import rule

DOCUMENT: dict[str, Any] = {
    "name": "r",
    "type": "PluginRule",
    "plugin_id": 1,
    "plugin_sid": [1],
    "occurrence": 1,
    "from": "ANY",
    "to": "ANY",
    "reliability": 5,
    "timeout": 60,
}


def document(stage: int, **more: Any) -> dict[str, Any]:
    return DOCUMENT | {"stage": stage} | more


def test_valid_rules_become_records_in_the_order_of_their_stages() -> None:
    values, findings = read_rules(
        [document(2, timeout=9), document(1, timeout=None)], lenient=False
    )
    assert findings == []
    records = records_of(values)
    assert [(record.stage, record.timeout) for record in records] == [(1, 0), (2, 9)]
    assert (records[0].from_, records[0].port_from, records[0].plugin_sid) == ("ANY", "ANY", (1,))


def test_a_finding_names_the_rule_and_its_stage() -> None:
    _, findings = read_rules([document(1), document(2, reliability=11)], lenient=False)
    [finding] = findings
    assert (finding.code, finding.path, finding.stage, finding.warning) == (
        "out-of-range",
        ("rules", 1, "reliability"),
        2,
        False,
    )


def test_lenient_a_number_out_of_range_is_repaired_with_a_warning() -> None:
    values, findings = read_rules([document(1), document(2, reliability=11)], lenient=True)
    assert [finding.warning for finding in findings] == [True]
    assert values[1]["reliability"] == 10


def test_long_texts_and_lists_take_a_time_that_grows_with_their_length() -> None:
    """Growth: with the square of it, each of them would take minutes."""
    blanks, names = " " * 2**19, [f"name {n}" for n in range(100_000)]
    _, findings = read_rules([document(1, custom_data1=blanks, port_to=blanks)], lenient=False)
    assert findings == []
    _, findings = read_rules([document(1, sticky_different=names)], lenient=False)
    assert len(findings) == len(names)


def test_one_rule_is_enough() -> None:
    assert read_rules([document(1)], lenient=False)[1] == []
    _, findings = read_rules([], lenient=False)
    assert [finding.code for finding in findings] == ["too-few-rules"]


def test_what_is_no_list_of_rules() -> None:
    assert [finding.code for finding in read_rules(None, lenient=False)[1]] == ["missing"]
    assert [finding.code for finding in read_rules({}, lenient=False)[1]] == ["wrong-type"]


def test_records_are_checked_like_documents() -> None:
    assert check_rules((rule(1), rule(2))) == ((rule(1), rule(2)), [])
    records, findings = check_rules((rule(1), rule(2, from_=":3")))
    assert records == ()
    assert [finding.field for finding in findings] == ["from"]
    assert check_rules(())[0] == ()
