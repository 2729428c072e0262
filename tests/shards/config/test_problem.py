"""Problems: findings with their position, as a line and as JSON."""

from engine.errors import Finding
from shards.config.problem import Problem

FAULT = Finding("missing", "is missing\x1b[2J", directive=3, stage=2, field="from")
WARNING = Finding("bom", "begins with a byte order mark", warning=True)


def test_the_line_has_position_code_and_subject() -> None:
    line = "a.json:4:7: error missing: directive 3, stage 2, from: is missing\\x1b[2J"
    assert str(Problem("a.json", 4, 7, FAULT)) == line


def test_absent_subjects_are_left_out_and_a_warning_is_marked() -> None:
    line = str(Problem("a.json", 1, 1, WARNING))
    assert line == "a.json:1:1: warning bom: begins with a byte order mark"


def test_the_document_has_all_fields() -> None:
    assert Problem("a.json", 4, 7, FAULT).as_document() == {
        "file": "a.json",
        "line": 4,
        "column": 7,
        "severity": "fault",
        "code": "missing",
        "directive": 3,
        "stage": 2,
        "field": "from",
        "message": "is missing\x1b[2J",
    }
    assert Problem("a.json", 1, 1, WARNING).as_document()["severity"] == "warning"
    assert Problem("a.json", 1, 1, WARNING).as_document()["field"] is None
