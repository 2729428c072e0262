"""The problem matchers in docs/directives-as-code.md read the lines that validate prints."""

import json
import re
from typing import Any

import pytest

from engine.errors import Finding
from shards.config.problem import Problem
from tests.support.pages import FENCE, read_page

FINDINGS = {
    "error": Finding("missing", "is: missing", directive=3, stage=2, field="from"),
    "warning": Finding("host-bits", "has host bits set", warning=True),
    "lint": Finding("no-risk", "is 1", directive=3, warning=True, lint=True),
}
BLOCKS = [
    json.loads(text)
    for kind, text in FENCE.findall(read_page("directives-as-code.md"))
    if kind == "json" and "roblemMatcher" in text
]


def line_of(severity: str) -> str:
    return str(Problem("a b/c.json", 4, 17, FINDINGS[severity]))


def matched(pattern: dict[str, Any], line: str) -> dict[str, str] | None:
    """What the pattern takes for the file, line, column, code and message."""
    match = re.fullmatch(pattern["regexp"], line)
    if match is None:
        return None
    names = ("file", "line", "column", "severity", "code", "message")
    return {name: match[pattern[name]] for name in names if name in pattern}


@pytest.mark.parametrize("severity", FINDINGS)
def test_one_matcher_of_github_takes_each_line(severity: str) -> None:
    [matchers] = [block["problemMatcher"] for block in BLOCKS if "problemMatcher" in block]
    patterns = [(one["pattern"][0], one.get("severity")) for one in matchers]
    [(found, level)] = [
        (found, level)
        for pattern, level in patterns
        if (found := matched(pattern, line_of(severity)))
    ]
    assert (found["file"], found["line"], found["column"]) == ("a b/c.json", "4", "17")
    assert found["code"] == FINDINGS[severity].code
    assert found.get("severity", level) == {"lint": "notice"}.get(severity, severity)


@pytest.mark.parametrize("severity", FINDINGS)
def test_the_matcher_of_the_editor_takes_each_line(severity: str) -> None:
    [matcher] = [block["tasks"][0]["problemMatcher"] for block in BLOCKS if "tasks" in block]
    found = matched(matcher["pattern"], line_of(severity))
    assert found is not None
    assert (found["severity"], found["code"]) == (severity, FINDINGS[severity].code)
    assert found["message"].endswith(FINDINGS[severity].message)


def test_the_editor_knows_where_a_result_begins_and_ends() -> None:
    [matcher] = [block["tasks"][0]["problemMatcher"] for block in BLOCKS if "tasks" in block]
    background = matcher["background"]
    assert re.search(background["beginsPattern"], "--- 06:12:59 ---")
    for totals in (
        "2 files, 1 directive, 1 asset: 0 faults, 0 warnings, 0 lints",
        "1 file, 0 directives, 0 assets: 1 fault, 0 warnings, 1 lint (1 ignored)",
        "1,200 files, 9 directives, 2 assets: 30,000 faults, 1 warning, 0 lints",
    ):
        assert re.search(background["endsPattern"], totals)
