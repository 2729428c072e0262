"""The schema command prints each schema, and offers all of them."""

import json

import pytest

import cli
from shards.schemas.documents import SCHEMAS

pytestmark = pytest.mark.usefixtures("clean_process")


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_printed_as_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema", name]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == json.loads(json.dumps(SCHEMAS[name]()))
    assert err == ""


def test_each_schema_is_a_choice_of_the_command() -> None:
    [command] = [command for command in cli.COMMANDS if command.name == "schema"]
    assert command.choices == tuple(SCHEMAS)
    assert all(name in command.operands_help for name in SCHEMAS)
