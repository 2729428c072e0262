"""docs/operate.md explains each log line of trouble, and the program has each line quoted there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.pages import first_column, read_page
from tests.support.paths import ROOT

LOG_CALLS = {"warning", "error"}
"""Methods of the logger for trouble."""
MIN_LENGTH = 8
"""Characters of a fixed part of a message; shorter ones explain nothing."""


def logging_functions(tree: ast.AST) -> set[str]:
    """The functions of a module that log trouble, perhaps with their arguments as the text."""
    return {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(
            isinstance(call, ast.Call) and called_name(call) in LOG_CALLS
            for call in ast.walk(function)
        )
    }


def called_name(call: ast.Call) -> str:
    return getattr(call.func, "attr", "") or getattr(call.func, "id", "")


def logged_texts(path: Path) -> Iterator[str]:
    """The fixed parts of all messages of trouble in a file."""
    tree = ast.parse(path.read_text("utf-8"))
    functions = LOG_CALLS | logging_functions(tree)
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and called_name(call) in functions:
            yield from fixed_parts(call)


def fixed_parts(call: ast.Call) -> Iterator[str]:
    for argument in call.args:
        for node in ast.walk(argument):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                part = node.value.strip(" :,;.(")
                if len(part) >= MIN_LENGTH and " " in part:
                    yield part


def on_one_line(text: str) -> str:
    return " ".join(text.split())


def test_each_line_of_trouble_is_explained() -> None:
    paths = (ROOT / "cli.py", *ROOT.glob("shards/**/*.py"))
    logged = {text for path in paths for text in logged_texts(path)}
    assert len(logged) > 30
    explained = on_one_line(read_page("operate.md"))
    assert [text for text in sorted(logged) if on_one_line(text) not in explained] == []


def test_each_line_that_is_explained_is_logged() -> None:
    helps = "*settings.py"
    paths = [path for path in ROOT.glob("shards/**/*.py") if not path.match(helps)]
    source = "\n".join(path.read_text("utf-8") for path in paths)
    joined = on_one_line(re.sub(r'"\s*f?"', "", source))
    page = read_page("operate.md")
    for line in (*first_column(page, "in good times"), *first_column(page, "it says")):
        parts = re.split(r" ?… ?|: ", line)
        assert all(on_one_line(part) in joined for part in parts), line
