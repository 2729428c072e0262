"""The layout of the program: which folder may import which, no circles, and sizes of files.

Read off the sources. Imports within functions and under TYPE_CHECKING count like any other.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FOLDERS = (
    "engine",
    "engine.directives",
    "engine.correlation",
    "engine.dsiem_format",
    "engine.explain",
    "shards",
    "shards.settings",
    "shards.tracing",
    "shards.ipc",
    "shards.lookups.plugins",
    "shards.lookups",
    "shards.config",
    "shards.ossim",
    "shards.sources",
    "shards.replay",
    "shards.directive_tests",
    "shards.checkpoint",
    "shards.history",
    "shards.router",
    "shards.worker",
    "shards.ops",
    "shards.ops.console",
    "shards.telemetry",
    "shards.supervisor",
    "shards.schemas",
    "shards.demo.scenario",
    "shards.demo",
    "shards.commands",
    "",
)
"""All packages, lowest first: each may import from itself and from those before it.

The last one is the top of the checkout, with cli.py.
"""
FORBIDDEN = {".", "tests", "benchmarks", "deploy"}
"""Modules that the program must not import; "." is any relative import."""
MAX_LINES = 300
SMALL_FILE_LINES = 40

Graph = dict[str, set[str]]


def module_of(path: Path) -> str:
    """The module's name as it is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


FILES = {
    module_of(path): path
    for path in (ROOT / "cli.py", *ROOT.glob("engine/**/*.py"), *ROOT.glob("shards/**/*.py"))
    if path.name != "__init__.py"
}
PACKAGES = sorted({path.parent for path in FILES.values()} - {ROOT})


def folder_of(module: str) -> str:
    return module.rpartition(".")[0]


def names_imported(source: str) -> Iterator[str]:
    """The full name of each module, or of what is imported from it; a relative import is "."."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield "."
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def with_parents(name: str) -> Iterator[str]:
    """For a.b.c: itself, a.b and a."""
    while name:
        yield name
        name = folder_of(name)


def imports_in(source: str, modules: Collection[str]) -> set[str]:
    """Those of these modules that the source imports, or from which it does."""
    return {
        module
        for name in names_imported(source)
        for module in with_parents(name)
        if module in modules
    }


@cache
def import_graph() -> Graph:
    """The modules of the program, and others that it must not import, that each module imports."""
    return {
        module: imports_in(path.read_text("utf-8"), FILES.keys() | FORBIDDEN)
        for module, path in FILES.items()
    }


def program_graph() -> Graph:
    """The modules of the program that each of them imports."""
    return {module: imported & FILES.keys() for module, imported in import_graph().items()}


def folder_graph(graph: Graph) -> Graph:
    """The other folders that each folder imports from."""
    folders: Graph = defaultdict(set)
    for module, imported in graph.items():
        folders[folder_of(module)] |= {folder_of(other) for other in imported} - {folder_of(module)}
    return folders


def upward_imports(graph: Graph) -> list[str]:
    """Imports of a folder that comes after the importer's own in FOLDERS."""
    level = {folder: number for number, folder in enumerate(FOLDERS)}
    return [
        f"{module} imports {other}"
        for module, imported in sorted(graph.items())
        for other in sorted(imported)
        if level[folder_of(other)] > level[folder_of(module)]
    ]


def circle_in(graph: Graph) -> list[str]:
    """A circle, with its first node at both ends; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


# The order of the folders.


def test_every_folder_has_its_place_in_the_order() -> None:
    assert {folder_of(module) for module in FILES} == set(FOLDERS)


def test_no_folder_imports_from_a_higher_one() -> None:
    assert upward_imports(program_graph()) == []


def test_the_folders_import_each_other_in_no_circle() -> None:
    assert circle_in(folder_graph(program_graph())) == []


def test_the_modules_import_each_other_in_no_circle() -> None:
    assert circle_in(program_graph()) == []


def test_the_program_imports_neither_tests_nor_tools() -> None:
    graph = import_graph()
    assert {
        module: graph[module] & FORBIDDEN for module in graph if graph[module] & FORBIDDEN
    } == {}


def test_the_command_line_imports_nothing_of_the_engine() -> None:
    assert [name for name in program_graph()["cli"] if name.startswith("engine")] == []


# Files.


@pytest.mark.parametrize("package", PACKAGES, ids=module_of)
def test_the_init_file_of_a_package_is_a_docstring(package: Path) -> None:
    [docstring] = ast.parse((package / "__init__.py").read_text("utf-8")).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(docstring.value, ast.Constant)
    assert isinstance(docstring.value.value, str)


def test_no_file_is_too_long() -> None:
    lengths = {module: path.read_text("utf-8").count("\n") for module, path in FILES.items()}
    assert {module: lines for module, lines in lengths.items() if lines > MAX_LINES} == {}


def test_a_small_file_gives_the_reason_for_it() -> None:
    """Its docstring has a second sentence, in which a reviewer finds the reason."""
    sources = {module: path.read_text("utf-8") for module, path in FILES.items()}
    small = {m: source for m, source in sources.items() if source.count("\n") < SMALL_FILE_LINES}
    docstrings = {m: ast.get_docstring(ast.parse(source)) or "" for m, source in small.items()}
    assert {m: text for m, text in docstrings.items() if sentences(text) < 2} == {}


def sentences(text: str) -> int:
    return len(re.findall(r"[.!?](?=\s|$)", text))


# The checks themselves.


@pytest.mark.parametrize(
    "source",
    [
        "import shards.logs",
        "import os, shards.logs as logs",
        "from shards import logs",
        "from shards.logs import configure_logging",
        "from shards import (\n    version,\n    logs,\n)",
        "def f():\n    from shards.logs import configure_logging",
        "if TYPE_CHECKING:\n    from shards import logs",
    ],
)
def test_an_import_is_found_in_every_form(source: str) -> None:
    modules = ("shards.logs", "shards.log", "shards.ipc.pipes")
    assert imports_in(source, modules) == {"shards.logs"}


def test_a_relative_import_is_found() -> None:
    assert imports_in("from . import logs", {"."}) == {"."}
    assert imports_in("from .logs import configure_logging", {"."}) == {"."}


def test_the_name_of_a_module_as_text_is_no_import() -> None:
    assert imports_in("'shards.logs'\nx = 'import shards.logs'", {"shards.logs"}) == set()


def test_upward_imports_are_reported_and_downward_ones_are_not() -> None:
    graph = {"shards.logs": {"engine.event", "cli"}, "shards.ipc.pipes": {"shards.ipc.child"}}
    assert upward_imports(graph) == ["shards.logs imports cli"]


def test_circles_of_modules_and_of_folders_are_reported() -> None:
    modules = {"a.x": {"b.x"}, "b.x": set[str](), "b.y": {"a.y"}, "a.y": set[str]()}
    assert circle_in(modules) == []
    assert sorted(set(circle_in(folder_graph(modules)))) == ["a", "b"]
    assert sorted(set(circle_in({**modules, "a.y": {"b.y"}}))) == ["a.y", "b.y"]


def test_sentences_are_counted() -> None:
    assert sentences("One. Of its own, since others need it: a.b and 1.5.") == 2
    assert sentences("Only one, over\ntwo lines.") == 1


def test_imports_of_the_program_are_found_at_all() -> None:
    graph = program_graph()
    assert "shards.settings.settings" in graph["shards.ipc.control"]
    assert "shards.supervisor.startup" in graph["cli"]
