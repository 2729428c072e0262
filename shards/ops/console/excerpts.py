"""Lines of configuration files around the problems of a reload.

Only of directives and assets: files of lookup sources may hold secrets.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

MAX_LINE = 200
"""Characters of a line that are shown, around the column of the problem."""
AROUND = 2
"""Lines before and after that of the problem."""
MAX_FILE_BYTES = 64 << 20
_SHOWN = ("directives_", "assets_")


def with_excerpts(problems: Iterable[Mapping[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Problems with the lines around each, as `excerpt`, where its file can be read."""
    lines: dict[str, list[str]] = {}
    found = []
    for problem in problems:
        file = str(problem["file"])
        if file not in lines:
            lines[file] = _read_lines(Path(file), folder)
        excerpt = _excerpt(lines[file], problem["line"], problem["column"])
        found.append({**problem, **({"excerpt": excerpt} if excerpt else {})})
    return found


def _read_lines(path: Path, folder: Path) -> list[str]:
    """The lines of a file; none if it cannot or may not be shown."""
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
        if not (inside and path.name.startswith(_SHOWN) and path.stat().st_size < MAX_FILE_BYTES):
            return []
        return path.read_bytes().decode("utf-8", "replace").split("\n")
    except OSError:
        return []


def _excerpt(lines: list[str], line: int, column: int) -> dict[str, Any] | None:
    """The lines around a place, which counts from 1; `first_column` is that of their beginning."""
    if not 0 < line <= len(lines):
        return None
    first = max(1, line - AROUND)
    start = max(0, column - MAX_LINE // 2) if len(lines[line - 1]) > MAX_LINE else 0
    shown = islice(lines, first - 1, line + AROUND)
    cut = [text[start : start + MAX_LINE].rstrip("\r") for text in shown]
    return {"first_line": first, "first_column": start + 1, "lines": cut}
