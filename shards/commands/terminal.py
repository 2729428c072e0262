"""Output for people: plain lines to stdout and stderr, and a progress bar.

A file of its own, since every command uses it.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from shards.safe_text import escape_control


class OutputConsole(Console):
    """Prints requested output to stdout; BrokenPipeError if its reader has gone."""

    def on_broken_pipe(self) -> None:
        """End as other output does: rich would exit with 1, which says that content is invalid."""
        raise  # noqa: PLE0704 - it is called while the error is handled


def print_line(text: str) -> None:
    """Print a line of the requested output to stdout."""
    sys.stdout.write(f"{text}\n")


def print_json(document: Any) -> None:
    """Print a document as indented JSON to stdout, for programs.

    Characters that are not printable are escaped as JSON does, since it may be a terminal.
    """
    text = msgspec.json.format(msgspec.json.encode(document)).decode()
    print_line("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def counted(number: int, one: str, many: str = "") -> str:
    """`1 fault`, `1,200 faults`; `many`: the plural, if it is not `one` with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def print_error(text: str) -> None:
    """Print an error or a note to stderr, with control characters escaped."""
    sys.stderr.write("\n".join(map(escape_control, text.split("\n"))) + "\n")


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal; yields the function to call with the bytes read so far."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("replaying"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=total or None)
        yield lambda done: bar.update(task, completed=done)
