"""The tables of fields, reasons, counts, settings and variables are those of the code."""

import re
import runpy
from pathlib import Path

import pytest
from msgspec.structs import fields

from engine.alarm import AlarmRecord
from engine.directives.directive import DIRECTIVE_FIELDS
from engine.directives.json_document import FieldTable
from engine.directives.rule_fields import RULE_FIELDS
from shards import ledger
from shards.settings.settings import SETTINGS_TABLE
from tests.support.pages import DOCS, EACH_PAGE, first_column, read_page
from tests.support.paths import ROOT

INVALID_REASONS = (
    *("bad_json", "bad_type", "missing_field", "bad_timestamp", "bad_address", "too_large"),
)
"""In the order of the table."""
REFERENCE = runpy.run_path(str(DOCS / "reference.py"))["PAGES"]
"""By page: what makes it as it should be."""
VARIABLES_OF_PEERS = {
    *("DSIEM_APM", "DSIEM_PPROF", "DSIEM_WEBSOCKET", "DSIEM_ESURL", "DSIEM_KBNURL"),
}
"""Variables that only the peers have."""


def documented_fields(text: str) -> list[str]:
    """The first column of each table whose head is `field`, without names of other forms."""
    return [name for name in first_column(text, "field") if name.isidentifier()]


def field_names(table: FieldTable) -> set[str]:
    """All fields that a table of the code reads."""
    values, findings = table.read({})
    return {*values, *(finding.field for finding in findings)}


def test_fields_of_directives_and_rules() -> None:
    documented = documented_fields(read_page("behaviour.md"))
    of_directive = field_names(DIRECTIVE_FIELDS) | {"suppress"}
    directive = documented[: len(of_directive)]
    rule = documented[len(directive) :]
    assert set(directive) == of_directive
    assert set(rule) == field_names(RULE_FIELDS)
    assert len(documented) == len(directive) + len(set(rule))


def test_fields_of_an_alarm() -> None:
    documented = first_column(read_page("behaviour.md"), "in the alarm")
    names = [name for name in documented if not name.isupper()]
    assert names == [field.name for field in fields(AlarmRecord)]


def test_reasons_of_invalid_events() -> None:
    assert first_column(read_page("behaviour.md"), "reason") == [*INVALID_REASONS]
    engine = "".join(path.read_text("utf-8") for path in (ROOT / "engine").glob("event*.py"))
    used = re.findall(r'(?:InvalidEventError|wrong_value)\(\s*"(\w+)"', engine)
    assert set(used) == set(INVALID_REASONS)


def test_counts_of_the_ledger() -> None:
    text = read_page("behaviour.md")
    for name in (*ledger.OUTCOMES, *ledger.BACKLOGS, "elsewhere", "rolled_back"):
        assert name in text


@pytest.mark.parametrize("name", REFERENCE)
def test_what_is_generated_is_up_to_date(name: str) -> None:
    page = (DOCS / name).read_text("utf-8")
    assert REFERENCE[name](page) == page, "python docs/reference.py"


@EACH_PAGE
def test_each_variable_is_one_of_a_setting(page: Path) -> None:
    known = {setting.env for setting in SETTINGS_TABLE.values()} | {"DSIEM_SETTINGS"}
    found = set(re.findall(r"\bDSIEM_[A-Z][A-Z_]+\b", page.read_text("utf-8")))
    assert found - known - VARIABLES_OF_PEERS == set()


def test_variables_of_the_peers() -> None:
    row = r"^\| `(DSIEM_\w+)` \| `(--[\w-]+)` \| `?([^`|]*?)`? \|"
    documented = re.findall(row, read_page("migrating.md"), re.MULTILINE)
    assert len(documented) > 20
    assert set(documented) <= {
        (setting.env, setting.flag, setting.spec.short or "") for setting in SETTINGS_TABLE.values()
    }
