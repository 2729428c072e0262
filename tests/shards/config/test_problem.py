"""Problems: findings with their position, as a line and as JSON."""

from pathlib import Path

from engine.errors import Finding
from shards.config.problem import Problem, ProblemList

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


def test_after_a_move_problems_name_the_files_where_they_are() -> None:
    finding = Finding("duplicate-id", "is 1 as in /c/.incoming/b.json:3, not /c/.incoming.json")
    problems = ProblemList()
    for file in ("/c/.incoming/a.json", "/c/own.json"):
        problems.count(finding)
        problems.add(Problem(file, 1, 2, finding))
    problems.move(Path("/c/.incoming"), Path("/c"))
    message = "error duplicate-id: is 1 as in /c/b.json:3, not /c/.incoming.json"
    assert problems.lines() == [f"/c/a.json:1:2: {message}", f"/c/own.json:1:2: {message}"]


def test_the_lines_of_more_problems_than_are_listed_end_with_their_number() -> None:
    problems = ProblemList(limit=1)
    for _ in range(3):
        if problems.count(FAULT):
            problems.add(Problem("a.json", 1, 1, FAULT))
    assert len(problems.lines()) == 2
    assert problems.lines()[1].startswith("2 more problems are not listed here")
